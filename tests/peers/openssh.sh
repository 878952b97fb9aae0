# Replaces test-exec.sh of OpenSSH's regress scripts, for a running server: openssh.sh OBJ SCRIPT
# SFTPSERVER, USER and PORT are in the environment. Prints each step and its failures.
OBJ=$1 SCRIPT=$2
SFTP=sftp SSH=ssh DATANAME=data DATA=$OBJ/data COPY=$OBJ/copy EXEEXT=
# A tenth of the original size: the first script sends it in blocks of 5 bytes.
head -c 50000 "$(command -v ssh-agent)" >"$DATA"
verbose() { echo "STEP: $*"; }
fail() { echo "FAIL: $*"; }
fatal() { echo "FAIL: $*"; exit 1; }
config_defined() { return 1; }
start_sshd() { :; }
. "$SCRIPT"
