"""Clients that post as fast as they are answered, each on a connection that it keeps: `posts.py URL NUMBER`."""

import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit

CLIENTS = 16
PATIENCE_S = 30

# Nobody takes orders of this kind: the package's own answer says so, and costs nothing else.
PATH, BODY, ANSWER = "/c/v1/api/orders", b"{}", (400, 422)


def client(host: str, port: int, number: int, failed: list[str]) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    for _ in range(number):
        try:
            connection.request("POST", PATH, BODY, {"content-type": "application/json"})
            answer = connection.getresponse()
            told = answer.read()
            if answer.status not in ANSWER:
                failed.append(f"{time.time():.3f} {answer.status} {told[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            failed.append(f"{time.time():.3f} {error!r}")
            connection.close()


def main() -> None:
    url, number = urlsplit(sys.argv[1]), int(sys.argv[2])
    failed: list[str] = []
    each = number // CLIENTS
    threads = [threading.Thread(target=client, args=(url.hostname, url.port, each, failed)) for _ in range(CLIENTS)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = each * CLIENTS - len(failed)
    print(json.dumps({"answered": answered, "failed": failed, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main()
