"""Where a Case is played: `memory` (deterministic, virtual time) and `loopback` (real kernel sockets), one engine."""
