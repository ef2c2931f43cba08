"""One call of getxattr, listxattr or setxattr with exactly the buffer asked for: prints the result, or the errno's name.

xattr-probe.py get PATH NAME SIZE | list PATH SIZE | set PATH NAME VALUE [UID]
"""
import ctypes
import errno
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.getxattr.restype = libc.listxattr.restype = ctypes.c_ssize_t
what, path, *rest = sys.argv[1:]
if what == "set":
    name, value, *uid = rest
    if uid:
        os.setgroups([])
        os.setresgid(int(uid[0]), int(uid[0]), int(uid[0]))
        os.setresuid(int(uid[0]), int(uid[0]), int(uid[0]))
    data = value.encode()
    result = libc.setxattr(path.encode(), name.encode(), data, ctypes.c_size_t(len(data)), 0)
    out = b""
else:
    size = int(rest[-1])
    buffer = ctypes.create_string_buffer(size + 1)
    arguments = [path.encode(), buffer, ctypes.c_size_t(size)]
    if what == "get":
        arguments.insert(1, rest[0].encode())
    result = (libc.getxattr if what == "get" else libc.listxattr)(*arguments)
    out = buffer.raw[:max(result, 0) if size else 0]
if result < 0:
    print(errno.errorcode[ctypes.get_errno()])
else:
    print(result, out.replace(b"\0", b",").decode())
