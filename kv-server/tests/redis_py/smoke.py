"""What an application does with redis-py, against the server at argv[1], protocol argv[2]."""

import sys
import time

import redis


def main(port: int, protocol: int) -> None:
    r = redis.Redis(port=port, protocol=protocol, decode_responses=True, client_name="smoke")
    assert r.ping() is True
    assert r.client_getname() == "smoke"
    assert isinstance(r.client_id(), int)
    assert [line["name"] for line in r.client_list()] == ["smoke"]

    assert r.set("k", "v") is True
    assert r.get("k") == "v"
    assert r.get("none") is None
    assert r.set("k", "w", nx=True) is None
    assert r.set("k", "w", get=True) == "v"
    assert r.delete("k", "none") == 1
    assert r.mset({f"key:{i}": i for i in range(1000)}) is True
    assert r.mget("key:1", "none", "key:2") == ["1", None, "2"]
    assert r.incrby("n", 5) == 5
    assert r.incrbyfloat("f", 0.5) == 0.5
    assert r.append("s", "abc") == 3 and r.getrange("s", 1, -1) == "bc" and r.strlen("s") == 3
    assert set(r.scan_iter(match="key:*", count=50)) == {f"key:{i}" for i in range(1000)}
    assert len(r.keys("key:99?")) == 10
    assert r.dbsize() == 1003

    assert r.expire("n", 100) is True
    assert 98 <= r.ttl("n") <= 100 and 98_000 <= r.pttl("n") <= 100_000
    assert r.persist("n") is True and r.ttl("n") == -1 and r.ttl("none") == -2
    assert r.set("gone", 1, px=1)
    while r.exists("gone"):
        time.sleep(0.001)
    assert r.type("n") == "string" and r.type("gone") == "none"

    with r.pipeline(transaction=True) as pipe:
        assert pipe.set("a", 1).incr("a").get("a").get("none").execute() == [True, 2, "2", None]
    with r.pipeline(transaction=False) as pipe:
        assert pipe.get("a").incr("a").execute() == ["2", 3]
    with r.pipeline() as pipe:
        try:
            pipe.set("x", "text").incr("x").execute()
            raise AssertionError("INCR of a text went well")
        except redis.ResponseError as error:
            assert "value is not an integer or out of range" in str(error), error

    other = redis.Redis(port=port, protocol=protocol)
    with r.pipeline() as pipe:
        pipe.watch("a")
        other.set("a", 10)
        pipe.multi()
        pipe.incr("a")
        try:
            pipe.execute()
            raise AssertionError("a changed key was not noticed")
        except redis.WatchError:
            pass
    assert r.transaction(lambda pipe: pipe.multi() or pipe.incr("a"), "a") == [11]

    binary = redis.Redis(port=port, protocol=protocol, db=7)
    every_byte = bytes(range(256)) * 1000
    assert binary.set(every_byte[:256], every_byte) and binary.get(every_byte[:256]) == every_byte
    assert binary.dbsize() == 1 and r.dbsize() == 1005

    assert r.info()["redis_version"] and r.info("keyspace")["db7"]["keys"] == 1
    assert r.config_get("save") == {"save": ""}
    assert r.command_count() > 50 and "get" in r.command()
    try:
        r.execute_command("NOSUCH")
        raise AssertionError("an unknown command went well")
    except redis.ResponseError as error:
        assert str(error).startswith("unknown command 'NOSUCH'"), error
    assert r.flushall() is True and r.dbsize() == 0 and binary.dbsize() == 0


main(int(sys.argv[1]), int(sys.argv[2]))
