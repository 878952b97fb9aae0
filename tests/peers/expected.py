"""The tests of third-party suites that fail, by the rule of the server that makes them fail."""

from __future__ import annotations

NO_LINKS = "Links are refused: a link could lead out of the tenant's files."
NO_MODES = "Modes and owners cannot be changed: all files belong to the tenant."
AT_CLOSE = "A file is published at its CLOSE: until then it is not on the disk under its name."
NOT_IN_PLACE = "A published file is never changed in place: an open file keeps the size that it had."
OWN_ROOT = "A tenant sees only its own files: no /dev, no folder of the suite."
NO_EXTENSION = "The extension is not offered."
OWN_OPTIONS = "The suite starts the server with an option of OpenSSH (-R, read-only) that Headcount does not have."

EXPECTED: dict[str, dict[str, tuple[str, ...]]] = {
    "paramiko": {
        NO_LINKS: ("test_symlink",),
        NO_EXTENSION: ("test_check",),
    },
    "openssh": {
        NO_LINKS: ("sftp commands: ln", "sftp commands: ln -s"),
        NO_EXTENSION: ("sftp commands: cp",),
    },
    "pkg/sftp": {
        NO_LINKS: ("TestClientLink", "TestClientReadLink", "TestClientStatLink", "TestClientSymlink"),
        NO_MODES: ("TestClientChmod", "TestClientChown", "TestClientSetuid"),
        AT_CLOSE: ("TestClientReadFrom", "TestClientReadFromSizeMismatch", "TestClientWrite"),
        NOT_IN_PLACE: ("TestClientSeek",),
        OWN_ROOT: (
            "TestClientGetwd",
            "TestClientWalk",
            "TestClientWriteToROFile",
            "TestGlob",
            "TestServerCompareSubsystems",
            "TestServerRoughDisconnect",
            "TestServerRoughDisconnect2",
            "TestServerRoughDisconnect3",
            "TestServerRoughDisconnect4",
            "TestServerRoughDisconnectEOF",
        ),
        OWN_OPTIONS: (
            "TestClientChmodReadonly",
            "TestClientChownReadonly",
            "TestClientChtimesReadonly",
            "TestClientCreateFailed",
            "TestClientRemoveFailed",
            "TestClientTruncateReadonly",
        ),
    },
}
