"""Carries frames between two interfaces: wire.py LEFT RIGHT MILLISECONDS OLD NEW; OLD comes out as NEW, and each time is told."""
import collections
import select
import socket
import sys
import time

ALL, OUTGOING = 3, 4
delay, old, new = int(sys.argv[3]) / 1000, sys.argv[4].encode(), sys.argv[5].encode()


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def rewritten(frame):
    """A frame with TCP over IPv4 whose text has OLD."""
    if not old or old not in frame or frame[12:14] != b"\x08\x00":
        return frame
    start = 14 + (frame[14] & 15) * 4
    print("rewritten", flush=True)
    segment = bytearray(frame[start:].replace(old, new))
    segment[16:18] = bytes(2)
    pseudo = frame[26:34] + bytes([0, 6]) + len(segment).to_bytes(2, "big")
    segment[16:18] = checksum(pseudo + bytes(segment)).to_bytes(2, "big")
    return frame[:start] + bytes(segment)


ends = []
for name in sys.argv[1:3]:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    end.bind((name, ALL))
    ends.append(end)
print("ready", flush=True)
due = collections.deque()
while True:
    wait = max(0, due[0][0] - time.monotonic()) if due else None
    for end in select.select(ends, [], [], wait)[0]:
        frame, address = end.recvfrom(65535)
        if address[2] != OUTGOING:
            due.append((time.monotonic() + delay, ends[end is ends[0]], rewritten(frame)))
    while due and due[0][0] <= time.monotonic():
        _, end, frame = due.popleft()
        end.send(frame)
