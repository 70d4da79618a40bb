"""The codec against the published CRC, hand-made bytes, itself in both directions, and damaged streams."""

import gc
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from IntradiscalNavLib.Simulation.DamagedStream import damagedStream
from IntradiscalNavLib.Streaming.Crc64 import crc64, numpyCrc64
from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import HEADER_BYTES, MessageReader, encodeMessage, readAll
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    GetStatusMessage,
    ImageMessage,
    OpaqueMessage,
    Point,
    PointMessage,
    PositionMessage,
    StartTrackingDataMessage,
    StatusMessage,
    StopTrackingDataMessage,
    StringMessage,
    TrackedTool,
    TrackingDataMessage,
    TrackingDataReplyMessage,
    TransformMessage,
    parseValidity,
)
from IntradiscalNavLib.Streaming.ToolStatus import ToolStatusMonitor

# CRC


@pytest.mark.parametrize("function", [crc64, numpyCrc64])
def testCrcOfThePublishedCheckString(function):
    # Check value of CRC-64/ECMA-182 in the catalogue of parametrised CRC algorithms (reveng.sourceforge.io).
    assert function(b"123456789", 0) == 0x6C40DF5F0B497347
    assert function(b"", 0) == 0


def bitwiseCrc(data, value=0):
    for byte in data:
        value ^= byte << 56
        for _ in range(8):
            value = (value << 1 ^ 0x42F0E1EBA9EA3693 if value >> 63 else value << 1) & 0xFFFFFFFFFFFFFFFF
    return value


@given(st.binary(max_size=3000), st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def testNumpyCrcEqualsTheBitwiseDefinition(data, initial):
    assert numpyCrc64(data, initial) == bitwiseCrc(data, initial)


def testNumpyCrcOfALargeImageAndOfPieces():
    data = np.random.default_rng(1).integers(0, 256, 786_451, np.uint8).tobytes()
    assert numpyCrc64(data) == crc64(data)
    assert numpyCrc64(data[100_001:], numpyCrc64(data[:100_001])) == crc64(data)
    assert numpyCrc64(memoryview(data)[3:]) == crc64(data[3:])


# Layout, by hand from the specification


def testBytesOfATransform():
    matrix = np.array([[1, 2, 3, 10], [4, 5, 6, 11], [7, 8, 9, 12], [0, 0, 0, 1.0]])
    data = encodeMessage(TransformMessage("ProbeToTracker", matrix, timestampSec=3.5))
    body = struct.pack(">12f", 1, 4, 7, 2, 5, 8, 3, 6, 9, 10, 11, 12)
    header = struct.pack(">H12s20sIIQQ", 1, b"TRANSFORM", b"ProbeToTracker", 3, 2**31, 48, bitwiseCrc(body))
    assert data == header + body


def testBytesOfVersion2WithMetadata():
    data = encodeMessage(StringMessage("Note", "hé", metadata={"a": "1", "bc": "ü"}, messageId=7), 2)
    content = struct.pack(">HH", 106, 3) + "hé".encode()
    metadata = struct.pack(">HHHIHHI", 2, 1, 3, 1, 2, 106, 2) + b"a1" + "bcü".encode()
    body = struct.pack(">HHII", 12, 18, 6, 7) + content + metadata
    assert data[HEADER_BYTES:] == body
    assert struct.unpack(">Q", data[42:50])[0] == len(body)


def testImagePositionIsThatOfTheCentre():
    ijkToFrame = np.array([[0.5, 0, 0, 10], [0, 0.25, 0, 20], [0, 0, 2, 30], [0, 0, 0, 1.0]])
    data = encodeMessage(ImageMessage("Image_Reference", np.zeros((1, 5, 9), np.uint8), ijkToFrame))
    position = struct.unpack_from(">3f", data, HEADER_BYTES + 12 + 36)
    assert position == (10 + 0.5 * 4, 20 + 0.25 * 2, 30)
    (message,) = readAll(data)
    assert np.allclose(message.ijkToFrame, ijkToFrame)


def testBigEndianVoxels():
    voxels = np.arange(12, dtype=np.int16).reshape(1, 3, 4) - 5
    data = bytearray(encodeMessage(ImageMessage("I", voxels, np.eye(4))))
    data[HEADER_BYTES + 4] = 1
    data[HEADER_BYTES + 72 :] = voxels.astype(">i2").tobytes()
    data[50:58] = struct.pack(">Q", crc64(bytes(data[HEADER_BYTES:])))
    (message,) = readAll(bytes(data))
    assert np.array_equal(message.voxels, voxels) and message.voxels.dtype == np.int16


def testLongNamesTravelWholeInVersion2():
    name = "PedicleGuideTipToReference"
    message = TransformMessage(name, np.eye(4))
    assert readAll(encodeMessage(message, 1))[0].deviceName == name[:20]
    assert readAll(encodeMessage(message, 2))[0].deviceName == name
    assert len(encodeMessage(StringMessage("ä" * 15, ""), 1)[14:34].rstrip(b"\0").decode()) == 10


# Round trips

names = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=20)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
metadata = st.dictionaries(texts.filter(lambda key: key != "IGTL_DEVICE_NAME"), texts, max_size=5)
times = st.integers(0, 2**32 - 1).map(float)


def matrices():
    return st.lists(floats, min_size=12, max_size=12).map(lambda values: np.vstack([np.reshape(values, (3, 4)), [0, 0, 0, 1.0]]))


@given(names, matrices(), metadata, times, st.sampled_from([1, 2]))
@settings(max_examples=80, deadline=None)
def testTransformRoundTrip(name, matrix, meta, seconds, version):
    (message,) = readAll(encodeMessage(TransformMessage(name, matrix, metadata=meta, timestampSec=seconds), version))
    assert message.deviceName == name and message.timestampSec == seconds
    assert np.array_equal(message.matrix, matrix)
    assert message.metadata == (meta if version == 2 else {})


@given(
    st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]),
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([1, 3]),
    st.integers(0, 2**32),
    st.sampled_from([1, 2]),
)
@settings(max_examples=60, deadline=None)
def testImageRoundTrip(kind, shape, components, seed, version):
    rng = np.random.default_rng(seed)
    shape = shape if components == 1 else (*shape, components)
    voxels = (rng.random(shape) * 100).astype(kind)
    matrix = np.eye(4)
    matrix[:3] = rng.normal(size=(3, 4)).astype(np.float32)
    (message,) = readAll(encodeMessage(ImageMessage("I", voxels, matrix), version))
    assert np.array_equal(message.voxels, voxels) and message.voxels.dtype == np.dtype(kind) and message.isWhole
    assert np.allclose(message.ijkToFrame, matrix, atol=1e-5)


@given(
    names, texts, st.integers(0, 65535), st.integers(-(2**63), 2**63 - 1), st.lists(st.tuples(names, floats, floats, floats), max_size=4)
)
@settings(max_examples=60, deadline=None)
def testOtherTypesRoundTrip(name, text, code, subCode, points):
    status = readAll(encodeMessage(StatusMessage(name, code, subCode, name, text)))[0]
    assert (status.code, status.subCode, status.errorName, status.text) == (code, subCode, name, text)
    assert readAll(encodeMessage(StringMessage(name, text), 2))[0].text == text
    sent = PointMessage(name, tuple(Point(label, (x, y, z), "g", (1, 2, 3, 4), 2.5, "o") for label, x, y, z in points))
    assert readAll(encodeMessage(sent))[0].points == sent.points
    tools = TrackingDataMessage(name, tuple(TrackedTool(label, np.diag([x, y, z, 1.0]), 3) for label, x, y, z in points))
    received = readAll(encodeMessage(tools, 2))[0]
    assert [(tool.name, tool.toolType) for tool in received.tools] == [(tool.name, 3) for tool in tools.tools]
    assert all(np.array_equal(a.matrix, b.matrix) for a, b in zip(received.tools, tools.tools))


def testQueriesAndUnknownTypesRoundTrip():
    sent = [
        GetStatusMessage("A"),
        StartTrackingDataMessage("", 50, "Patient"),
        StopTrackingDataMessage(""),
        TrackingDataReplyMessage("", 1),
        PositionMessage("P", np.array([1.0, 2, 3]), np.array([0, 0, 0, 1.0]), wireTypeName="QTRANS"),
        OpaqueMessage("X", "NDARRAY", b"whatever"),
    ]
    received = readAll(b"".join(encodeMessage(message, 2) for message in sent))
    assert [message.key for message in received] == [message.key for message in sent]
    assert received[1].resolution == 50 and received[1].coordinateName == "Patient"
    assert received[3].errorCode == 1
    assert received[5].content == b"whatever"


def testShortPositions():
    for size, expected in ((12, [0, 0, 0, 1]), (24, [0.6, 0, 0, 0.8])):
        body = struct.pack(">6f", 1, 2, 3, 0.6, 0, 0)[:size]
        data = struct.pack(">H12s20sIIQQ", 1, b"POSITION", b"P", 0, 0, size, crc64(body)) + body
        (message,) = readAll(data)
        assert np.allclose(message.quaternionXyzw, expected) and np.allclose(message.positionMm, [1, 2, 3])


def testWhatCannotBeSentIsRefusedWithAReason():
    with pytest.raises(ValueError, match="scalar type bool"):
        encodeMessage(ImageMessage("I", np.zeros((1, 2, 2), bool), np.eye(4)))
    with pytest.raises(ValueError, match="dimensions"):
        encodeMessage(ImageMessage("I", np.zeros((2, 2), np.uint8), np.eye(4)))
    with pytest.raises(ValueError, match="too large"):
        encodeMessage(ImageMessage("I", np.zeros((1, 1, 70000), np.uint8), np.eye(4)))
    with pytest.raises(ValueError, match="TRANSFORM Far holds a number"):
        encodeMessage(TransformMessage("Far", np.diag([1e300, 1, 1, 1])))
    with pytest.raises(ValueError, match="STATUS S holds a number"):
        encodeMessage(StatusMessage("S", 70000))
    with pytest.raises(ValueError, match="Header version 3"):
        encodeMessage(GetStatusMessage(""), 3)


def testValidityWords():
    assert parseValidity("1") is True and parseValidity("true") is True
    assert parseValidity("0") is False and parseValidity("FALSE") is False
    assert parseValidity(None) is None and parseValidity("maybe") is None


# Pieces and damage


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def testAnySplitOfTheStreamGivesTheSameMessages(sizes, seed):
    rng = np.random.default_rng(seed)
    image = ImageMessage("I", rng.integers(0, 255, (1, 60, 90), np.uint8), np.eye(4))
    sent = [TransformMessage("T", np.eye(4)), image, StringMessage("S", "x"), image, TransformMessage("U", np.eye(4))]
    data = b"".join(encodeMessage(message, 2) for message in sent)
    reader, received, position, turn = MessageReader(), [], 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        received += reader.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    assert [message.deviceName for message in received] == ["T", "I", "S", "I", "U"]
    assert np.array_equal(received[3].voxels, image.voxels)
    assert not reader.problems


def testVoxelsOfAMessageAreNeverWrittenAgain():
    reader = MessageReader()
    rng = np.random.default_rng(3)
    for shape in ((1, 8, 8), (1, 480, 640)):
        pictures = [rng.integers(0, 255, shape, np.uint8) for _ in range(5)]
        received = [reader.feed(encodeMessage(ImageMessage("I", picture, np.eye(4))))[0] for picture in pictures]
        assert all(np.array_equal(message.voxels, picture) for message, picture in zip(received, pictures))


@pytest.mark.parametrize("position", [42, 50, 57, HEADER_BYTES, HEADER_BYTES + 47])
def testADamagedMessageIsLeftOutAndTheNextOneRead(position):
    good = encodeMessage(TransformMessage("Good", np.eye(4)))
    bad = bytearray(encodeMessage(TransformMessage("Bad", np.eye(4))))
    bad[position] ^= 0x40
    reader = MessageReader()
    received = reader.feed(bytes(bad) + good * 3)
    # The byte at 42 is the top of the size field: an absurd size, found by searching for the next header.
    assert [message.deviceName for message in received] == ["Good"] * 3
    assert reader.problemCount >= 1
    assert reader.problems[0].kind in ("crc", "size")


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, 8 * 2**30, 64 * 2**20 + 1])
def testAnAbsurdSizeCostsNoMemoryAndNoTime(size):
    good = encodeMessage(TransformMessage("Good", np.eye(4)))
    bad = struct.pack(">H12s20sIIQQ", 1, b"IMAGE", b"X", 0, 0, size, 0)
    reader = MessageReader()
    assert [message.deviceName for message in reader.feed(bad + b"\0" * 100 + good)] == ["Good"]
    assert any("limit" in problem.text for problem in reader.problems)


@pytest.mark.parametrize(
    ("typeName", "body"),
    [
        (b"TRANSFORM", b"\0" * 47),
        (b"TRANSFORM", b"\0" * 52),
        (b"IMAGE", b"\0" * 10),
        (b"IMAGE", struct.pack(">HBBBB3H12f3H3H", 1, 1, 3, 2, 1, 9, 9, 1, *[0.0] * 12, 0, 0, 0, 9, 9, 1) + b"\0" * 80),
        (b"IMAGE", struct.pack(">HBBBB3H12f3H3H", 1, 1, 9, 2, 1, 2, 2, 1, *[0.0] * 12, 0, 0, 0, 2, 2, 1) + b"\0" * 4),
        (b"IMAGE", struct.pack(">HBBBB3H12f3H3H", 1, 1, 3, 2, 1, 2, 2, 1, *[0.0] * 12, 1, 0, 0, 2, 2, 1) + b"\0" * 4),
        (b"IMAGE", struct.pack(">HBBBB3H12f3H3H", 1, 1, 3, 2, 1, 0, 0, 0, *[0.0] * 12, 0, 0, 0, 0, 0, 0)),
        (b"STRING", struct.pack(">HH", 3, 500) + b"short"),
        (b"STRING", b"\0"),
        (b"STATUS", b"\0" * 5),
        (b"POINT", b"\0" * 135),
        (b"TDATA", b"\0" * 71),
        (b"POSITION", b"\0" * 13),
        (b"STT_TDATA", b"\0" * 3),
        (b"RTS_TDATA", b""),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def testContentThatDoesNotFitItsTypeIsLeftOut(typeName, body, version):
    if version == 2:
        body = struct.pack(">HHII", 12, 2, 0, 0) + body + b"\0\0"
    bad = struct.pack(">H12s20sIIQQ", version, typeName, b"X", 0, 0, len(body), crc64(body)) + body
    reader = MessageReader()
    assert [m.deviceName for m in reader.feed(bad + encodeMessage(StringMessage("Good", "")))] == ["Good"]
    (problem,) = reader.problems
    assert problem.kind == "content" and typeName.decode() in problem.text


@pytest.mark.parametrize(
    "extended",
    [
        b"\0" * 4,
        struct.pack(">HHII", 12, 60000, 4_000_000_000, 1) + b"\0" * 48,
        struct.pack(">HHII", 12, 2, 0, 0) + b"\0" * 48 + b"\xff\xff",
    ],
)
def testBogusExtendedHeaders(extended):
    bad = struct.pack(">H12s20sIIQQ", 2, b"TRANSFORM", b"X", 0, 0, len(extended), crc64(extended)) + extended
    reader = MessageReader()
    assert [m.deviceName for m in reader.feed(bad + encodeMessage(StringMessage("Good", "")))] == ["Good"]
    assert reader.problems[0].kind == "content"


def testGarbageInAKeepAliveIsNoError():
    body = struct.pack(">HQ", 1, 0x00007F7B14003120) + bytes.fromhex("0a82fffe") + b"\xc3" * 16 + b"\0"
    data = struct.pack(">H12s20sIIQQ", 1, b"STATUS", b"", 0, 0, len(body), crc64(body)) + body
    (message,) = readAll(data)
    assert message.code == 1


def testTenThousandDamagedMessagesNeitherCrashNorPassAsGood():
    rng = np.random.default_rng(20)
    pose = np.eye(4)
    pose[:3, 3] = [11.0, 22.0, 33.0]
    template = encodeMessage(TransformMessage("Tool", pose, metadata={"TransformStatus": "OK"}), 2) + encodeMessage(
        ImageMessage("I", np.full((1, 4, 4), 7, np.uint8), np.eye(4))
    )
    whole = encodeMessage(StringMessage("End", "of one stream"))
    tracemalloc.start()
    seen = found = 0
    reader = MessageReader()
    for index in range(5000):
        # Two damaged messages, then good ones that fill up whatever the damage announced.
        messages = reader.feed(damagedStream(rng, template))
        for message in messages:
            seen += 1
            # Names, types and times are not covered by OpenIGTLink's checksum; the content is.
            if isinstance(message, TransformMessage):
                assert np.array_equal(message.matrix, pose)
            elif isinstance(message, ImageMessage):
                assert message.voxels.shape == (1, 4, 4) and (message.voxels == 7).all()
        # A size damaged upwards swallows what follows; the reader finds back within a bounded number of messages.
        if index % 50 == 49:
            reader = MessageReader(maxBodyBytes=4096)
        found += any(message.deviceName == "End" for message in reader.feed(whole * 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    gc.collect()
    assert seen > 1000
    assert found > 2500
    assert peak < 80 * 2**20


@given(st.binary(max_size=4000))
@settings(max_examples=100, deadline=None)
def testRandomBytesGiveNoMessageAndNoError(data):
    reader = MessageReader()
    assert reader.feed(data) == []


@given(st.binary(min_size=12, max_size=300), st.sampled_from(["IMAGE", "TRANSFORM", "TDATA", "POINT", "STRING", "STATUS", "POSITION"]))
@settings(max_examples=200, deadline=None)
def testRandomContentUnderARightChecksumNeverRaises(body, typeName):
    for version in (1, 2):
        data = struct.pack(">H12s20sIIQQ", version, typeName.encode(), b"X", 0, 0, len(body), crc64(body)) + body
        reader = MessageReader()
        monitor = ToolStatusMonitor()
        for message in reader.feed(data):
            monitor.update(message)
            assert message.messageType == typeName
        assert reader.messageCount + reader.problemCount == 1
