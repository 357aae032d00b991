"""A real SMTP server for one test: server.py starttls|tls CERTIFICATE KEY

Takes mail only from the user `backup` with the password `right`, and only over TLS. Prints its port, then each message as one
line of JSON. Needs Debian's python3-aiosmtpd.
"""

import json
import socket
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

mode, certificate, key = sys.argv[1:]


class Keeper:
    async def handle_DATA(self, server, session, envelope):
        said = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": envelope.content.decode(),
                "tls": session.ssl is not None or mode == "tls"}
        print(json.dumps(said), flush=True)
        return "250 taken"


def judge(server, session, envelope, mechanism, data):
    right = LoginPassword(b"backup", b"right")
    return AuthResult(success=data == right, handled=False)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
options = {"authenticator": judge, "auth_required": True, "hostname": "127.0.0.1"}
if mode == "tls":
    options |= {"ssl_context": context, "auth_require_tls": False}
else:
    options |= {"tls_context": context, "require_starttls": True}


with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
controller = Controller(Keeper(), port=port, **options)
controller.start()
print(port, flush=True)
while True:
    time.sleep(60)
