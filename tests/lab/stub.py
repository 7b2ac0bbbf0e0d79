"""An FTP server that says 227 in words of its own: stub.py PORT TEXT."""
import socket
import sys

REPLIES = {"USER": "331 password", "PASS": "230 in", "PWD": '257 "/"', "CWD": "250 ok", "TYPE": "200 ok", "PASV": sys.argv[2]}
control = socket.create_server(("", int(sys.argv[1])))
data = socket.create_server(("", 40004))
while True:
    client, _ = control.accept()
    with client, client.makefile("rwb", 0) as lines:
        lines.write(b"220 stub ready\r\n")
        for line in lines:
            verb = (line.decode("latin1").split() or [""])[0].upper()
            if verb in ("LIST", "RETR"):
                lines.write(b"150 here it comes\r\n")
                with data.accept()[0] as peer:
                    peer.sendall(b"-rw-r--r-- 1 0 0 19 Jan 1 00:00 small.txt\r\n")
            reply = {"LIST": "226 done", "RETR": "226 done", "QUIT": "221 bye"}.get(verb) or REPLIES.get(verb, "500 what")
            lines.write(reply.encode() + b"\r\n")
            if verb == "QUIT":
                break
