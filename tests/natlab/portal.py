#!/usr/bin/python3
"""portal: a captive portal's web server: whatever is asked for, it redirects
to its login page.

usage: portal.py PORT
"""

import http.server
import sys

LOGIN = "http://portal.campus.example/login"


class Portal(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Host") == "portal.campus.example":
            body = b"<!DOCTYPE html><title>Login</title><h1>Please log in</h1>\n"
            self.send_response(200)
        else:
            body = b""
            self.send_response(302)
            self.send_header("Location", LOGIN)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Portal)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
