"""Imports everything that `serve` imports, in the process that servers are forked from."""

import uvicorn.lifespan.on
import uvicorn.loops.uvloop
import uvicorn.protocols.http.httptools_impl  # noqa: F401

import otp_service.cli.serve
import otp_service.simulator  # noqa: F401
import tests.faults.crashing
import tests.faults.replica  # noqa: F401
