"""Tells the simulated operator what to do, over the same connection that carries the stream."""

from __future__ import annotations

import json
from typing import Any

from IntradiscalNavHeadless.Demo.LiveStream import LiveStream
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage, StringMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneUpdate

COMMAND_DEVICE, REPLY_DEVICE = "SimulatorCommand", "SimulatorReply"


def commandSimulator(stream: LiveStream, command: str, timeoutSec: float = 15.0, **parameters: Any) -> dict[str, Any]:
    """Send a command and return the reply; the stream goes on being received meanwhile.

    :raises RuntimeError: when the simulator refuses the command or doesn't answer.
    """
    stream.client.send(StringMessage(COMMAND_DEVICE, text=json.dumps({"command": command, **parameters})))
    replies: list[dict[str, Any]] = []

    def look(messages: list[OpenIGTLinkMessage], _update: SceneUpdate) -> bool:
        replies.extend(json.loads(each.text) for each in messages if isinstance(each, StringMessage) and each.deviceName == REPLY_DEVICE)
        return bool(replies)

    stream.runUntil(look, timeoutSec, f"the simulator's answer to '{command}'")
    reply = replies[0]
    if not reply.get("ok"):
        raise RuntimeError(f"The simulator refused '{command}': {reply.get('error')}")
    return reply
