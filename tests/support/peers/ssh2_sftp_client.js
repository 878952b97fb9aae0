// ssh2-sftp-client: ssh2_sftp_client.js HOST PORT KEY_FILE put|rename|get FROM TO
"use strict";
const fs = require("node:fs");
const Client = require("ssh2-sftp-client");

const [host, port, keyFile, verb, from, to] = process.argv.slice(2);
const verbs = { put: "fastPut", rename: "rename", get: "fastGet" };

(async () => {
  const sftp = new Client();
  await sftp.connect({ host, port: Number(port), username: "acme", privateKey: fs.readFileSync(keyFile) });
  await sftp[verbs[verb]](from, to);
  await sftp.end();
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
