"""The gRPC edge of the images service: parse, call, map."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from writer.images.v1 import images_pb2, images_pb2_grpc

from chassis import caller
from chassis.pages import PageQuery
from services.images.mapping import image_to_proto
from services.images.service.library import Library


class ImageServicer(images_pb2_grpc.ImageServiceServicer):
    """See protos/writer/images/v1/images.proto."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def GetImage(self, request: images_pb2.GetImageRequest, context: Any) -> images_pb2.Image:
        return image_to_proto(await self._library.get(caller.current(), request.id))

    async def ListImages(
        self, request: images_pb2.ListImagesRequest, context: Any
    ) -> images_pb2.ListImagesResponse:
        filters = {"content_id": request.content_id, "task_id": request.task_id}
        if request.image_type:
            filters["image_type"] = images_pb2.Image.Type.Name(request.image_type)
        if request.status:
            filters["status"] = images_pb2.Image.Status.Name(request.status)
        images, token, total = await self._library.list(
            caller.current(), PageQuery.of(request), filters
        )
        return images_pb2.ListImagesResponse(
            images=[image_to_proto(image) for image in images],
            next_page_token=token,
            total_size=total,
        )

    async def GetImageFile(
        self, request: images_pb2.GetImageFileRequest, context: Any
    ) -> AsyncIterator[images_pb2.ImageFileChunk]:
        image, pieces = await self._library.open_file(request.id)
        chunk = images_pb2.ImageFileChunk(
            mime_type=image.mime_type, sha256=image.sha256, total_bytes=image.bytes
        )
        async for piece in pieces:
            chunk.data = piece
            yield chunk
            chunk = images_pb2.ImageFileChunk()
