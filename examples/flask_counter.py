from contextlib import suppress

from flask import Flask

from foundation import Process, blocking
from foundation.errors import NameTakenError, NoSuchNameError


class Visits(Process):
    def __init__(self) -> None:
        self.count = 0

    async def add(self, n: int = 1) -> int:
        self.count += n
        return self.count


app = Flask(__name__)


@app.get("/")
def visit() -> str:
    visits = blocking.ref(Visits, "visits")
    try:
        return f"visit {visits.add()}\n"
    except NoSuchNameError:
        with suppress(NameTakenError):  # another request, or another node, was first
            blocking.start_process(Visits, name="visits")
        return f"visit {visits.add()}\n"


if __name__ == "__main__":
    with blocking.start_cluster():
        app.run()
