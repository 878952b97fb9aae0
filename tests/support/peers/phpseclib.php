<?php
// phpseclib 3: phpseclib.php HOST PORT KEY_FILE put|rename|get FROM TO
use phpseclib3\Crypt\PublicKeyLoader;
use phpseclib3\Net\SFTP;

require 'phpseclib3/autoload.php';
[, $host, $port, $key_file, $verb, $from, $to] = $argv;
$sftp = new SFTP($host, (int) $port);
if (!$sftp->login('acme', PublicKeyLoader::load(file_get_contents($key_file)))) {
    fwrite(STDERR, "login failed\n");
    exit(1);
}
$done = match ($verb) {
    'put' => $sftp->put($to, $from, SFTP::SOURCE_LOCAL_FILE),
    'rename' => $sftp->rename($from, $to),
    'get' => $sftp->get($from, $to),
};
if (!$done) {
    fwrite(STDERR, implode("\n", $sftp->getSFTPErrors()) . "\n");
    exit(1);
}
