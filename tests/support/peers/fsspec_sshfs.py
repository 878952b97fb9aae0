"""fsspec's sshfs: fsspec_sshfs.py HOST PORT KEY_FILE put|rename|get FROM TO."""

import sys

from sshfs import SSHFileSystem

host, port, key_file, verb, source, target = sys.argv[1:]
files = SSHFileSystem(host, port=int(port), username="acme", client_keys=[key_file], known_hosts=None, config=None)
{"put": files.put_file, "rename": files.mv, "get": files.get_file}[verb](source, target)
