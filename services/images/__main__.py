"""Wiring of the images service: `python -m services.images`."""

from __future__ import annotations

from writer.images.v1 import images_pb2_grpc

from chassis.model import Model
from chassis.process import Host, Parts, run
from services.images.consumers import Consumers
from services.images.domain import NAME
from services.images.files import Files
from services.images.peers import Billing, Contents
from services.images.providers.illustrator import Illustrator
from services.images.service.library import Library
from services.images.service.pictures import Pictures
from services.images.service.sets import Sets
from services.images.servicer import ImageServicer


def wire(host: Host) -> Parts:
    """Puts the service together."""
    extra = host.settings.extra
    model = Model.from_settings(host.settings)
    illustrator = Illustrator(
        model,
        text_model=extra("WRITER_TEXT_MODEL", "gpt-5-mini"),
        image_model=extra("WRITER_IMAGE_MODEL", "gpt-image-1"),
    )
    files = Files(extra("WRITER_FILES_URL"))
    billing, contents = Billing(host.peer("billing")), Contents(host.peer("content"))
    sets = Sets(host.database, host.outbox, billing, contents, illustrator)
    pictures = Pictures(host.database, host.outbox, illustrator, files)
    servicer = ImageServicer(Library(host.database, files))
    return Parts(
        servicers=[(images_pb2_grpc.add_ImageServiceServicer_to_server, servicer)],
        subscriptions=Consumers(sets, pictures).subscriptions(),
        close=[model.close],
    )


def main() -> None:
    """Runs the process until it is told to stop."""
    run(NAME, wire)


if __name__ == "__main__":
    main()
