"""The admin port: a gRPC server of its own, with tokens of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from grpc_reflection.v1alpha import reflection

from polyhead.admin.v1 import admin_service_pb2 as pb
from polyhead_server.calls import Calls, Method
from polyhead_server.errors import InvalidRequestError, Violation
from polyhead_server.grpc_options import grpc_options
from polyhead_server.security.access import token_access
from polyhead_server.security.tls import bind
from polyhead_server.unary import unary

if TYPE_CHECKING:
    from polyhead_server.calls import Call
    from polyhead_server.metrics import Metrics
    from polyhead_server.rollout.rollout import Rollout
    from polyhead_server.settings import Settings
    from polyhead_server.unary import Answer

SERVICE = pb.DESCRIPTOR.services_by_name["AdminService"].full_name

_LAST_WORDS_SECONDS = 1.0


class AdminService:
    """polyhead.admin.v1.AdminService.

    Args:
        rollout: does what is asked for.
        calls: opens the calls.
    """

    def __init__(self, rollout: Rollout, calls: Calls) -> None:
        self._rollout = rollout
        self._calls = calls

    async def reload_bundle(
        self, request: pb.ReloadBundleRequest, _: Call
    ) -> pb.ReloadBundleResponse:
        """Load a bundle."""
        return await self._rollout.reload(request.path, beside=request.beside)

    async def list_bundles(self, _: pb.ListBundlesRequest, __: Call) -> pb.ListBundlesResponse:
        """List the loaded bundles."""
        return await self._rollout.listing()

    async def set_traffic(self, request: pb.SetTrafficRequest, _: Call) -> pb.SetTrafficResponse:
        """Say which calls go where."""
        return pb.SetTrafficResponse(traffic=await self._rollout.set_traffic(request.traffic))

    async def unload_bundle(
        self, request: pb.UnloadBundleRequest, _: Call
    ) -> pb.UnloadBundleResponse:
        """Free a bundle."""
        if not request.bundle_version:
            raise InvalidRequestError([Violation("bundle_version", "must name a version")])
        await self._rollout.unload(request.bundle_version)
        return pb.UnloadBundleResponse()

    def handlers(self) -> grpc.GenericRpcHandler:
        """The service for a server, with decoders that never raise."""
        methods: dict[str, tuple[type[Any], Answer]] = {
            "ReloadBundle": (pb.ReloadBundleRequest, self.reload_bundle),
            "ListBundles": (pb.ListBundlesRequest, self.list_bundles),
            "SetTraffic": (pb.SetTrafficRequest, self.set_traffic),
            "UnloadBundle": (pb.UnloadBundleRequest, self.unload_bundle),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: unary(self._calls, Method("unary", SERVICE, name), kind, answer)
                for name, (kind, answer) in methods.items()
            },
        )


class AdminPort:
    """Listens for admin calls. The port is bound when it is made, so that a taken one is noticed.

    Args:
        settings: say where, and who may call.

    Raises:
        StartError: the port cannot be had, or a file that it needs.
    """

    def __init__(self, settings: Settings) -> None:
        self._access = token_access(settings.admin_token_file)
        self._server = grpc.aio.server(options=grpc_options(settings))
        self.address = bind(self._server, settings.admin_host, settings.admin_port, settings)

    async def open(self, rollout: Rollout, metrics: Metrics) -> None:
        """Begin to answer."""
        calls = Calls(metrics, access=self._access, access_log=True)
        self._server.add_generic_rpc_handlers((AdminService(rollout, calls).handlers(),))
        reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), self._server)
        await self._server.start()

    async def close(self) -> None:
        """Answer no more; calls under way have a moment to end."""
        await self._server.stop(_LAST_WORDS_SECONDS)


def open_admin_port(settings: Settings) -> AdminPort | None:
    """The admin port; None where none is asked for."""
    return None if settings.admin_port < 0 else AdminPort(settings)
