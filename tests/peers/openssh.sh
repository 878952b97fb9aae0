# What OpenSSH's regress scripts get from their test-exec.sh, for a server that is running: openssh.sh OBJ SCRIPT
# With SFTPSERVER, USER and PORT from the environment. Says each step, and what failed in it.
OBJ=$1 SCRIPT=$2
SFTP=sftp SSH=ssh DATANAME=data DATA=$OBJ/data COPY=$OBJ/copy EXEEXT=
# A tenth of theirs: the first script sends it in blocks of 5 bytes.
head -c 50000 "$(command -v ssh-agent)" >"$DATA"
verbose() { echo "STEP: $*"; }
fail() { echo "FAIL: $*"; }
fatal() { echo "FAIL: $*"; exit 1; }
config_defined() { return 1; }
start_sshd() { :; }
. "$SCRIPT"
