"""A transport without a socket behind it."""


class RecordingTransport:
    """Remembers what it was asked, and that nobody writes behind the end."""

    def __init__(self):
        self.asked = []
        self.is_closed = False

    def write(self, data):
        assert not self.is_closed
        self.asked.append(data)

    def close(self):
        self.asked.append("close")
        self.is_closed = True

    def abort(self):
        self.asked.append("abort")
        self.is_closed = True

    def is_closing(self):
        return self.is_closed
