"""From the text of TARGET to the object it names, and what is said when there is none."""

from __future__ import annotations

import os
import queue
import sys
from pathlib import Path

import pytest

from handshaker.harness.errors import TargetError, UsageError
from handshaker.targets.loading import TargetSpec, import_hang_message, load, parse

ECHO = """
    import socketserver

    class {name}(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(self.rfile.readline())
"""


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("app:Echo", TargetSpec("app:Echo", module="app", attributes=("Echo",))),
        ("pkg.app:Site.Echo", TargetSpec("pkg.app:Site.Echo", module="pkg.app", attributes=("Site", "Echo"))),
        ("pkg.app", TargetSpec("pkg.app", module="pkg.app")),
        ("app.py", TargetSpec("app.py", path="app.py")),
        ("a/my-app.py:Echo", TargetSpec("a/my-app.py:Echo", path="a/my-app.py", attributes=("Echo",))),
    ],
)
def test_the_four_forms_are_understood(text: str, spec: TargetSpec) -> None:
    """A module or a file, with or without attributes, is taken apart without importing anything."""
    assert parse(text) == spec


@pytest.mark.parametrize("text", ["", ":", "app:", ":Echo", "app::Echo", "my-app:Echo", "app:Echo()", "a b"])
def test_other_forms_are_refused_with_their_own_text(text: str) -> None:
    """What has none of the forms is quoted in the message."""
    with pytest.raises(UsageError, match=r"write") as caught:
        parse(text)
    assert repr(text) in str(caught.value)


def test_the_given_folder_is_importable(write, tmp_path: Path) -> None:
    """A module in the folder is found by its name, also below a package."""
    write("hk_a/__init__.py")
    write("hk_a/inner.py", ECHO.format(name="Echo"))
    assert load(parse("hk_a.inner:Echo"), tmp_path).__name__ == "Echo"


def test_attributes_are_followed_to_the_end(write, tmp_path: Path) -> None:
    """A nested class is reached through its outer one."""
    write("hk_b.py", "class Site:\n    class Echo:\n        marker = 7\n")
    assert load(parse("hk_b:Site.Echo"), tmp_path).marker == 7


def test_the_folder_does_not_hide_the_standard_library(write, tmp_path: Path) -> None:
    """A user's file with the name of a standard module is not what others import under that name."""
    write("stringprep.py", "HIDDEN = True")
    write("hk_c.py", "import stringprep\nfrom socketserver import StreamRequestHandler as Base\nseen = stringprep\n")
    sys.modules.pop("stringprep", None)
    assert not hasattr(load(parse("hk_c:seen"), tmp_path), "HIDDEN")


def test_a_standard_modules_name_hints_at_the_file_of_that_name(write, tmp_path: Path) -> None:
    """When the standard library wins, the message says how to name the user's own file."""
    write("queue.py", ECHO.format(name="Echo"))
    with pytest.raises(UsageError, match=r"write \./queue\.py:Zzz"):
        load(parse("queue:Zzz"), tmp_path)


def test_a_file_named_like_a_standard_module_leaves_that_module_alone(write, tmp_path: Path) -> None:
    """Loading ./queue.py gives the user's module under another name."""
    write("queue.py", ECHO.format(name="Echo"))
    found = load(parse("./queue.py:Echo"), tmp_path)
    assert sys.modules["queue"] is queue
    assert sys.modules[found.__module__].__file__ == str(tmp_path / "queue.py")


def test_a_file_in_a_package_gets_its_proper_name(write, tmp_path: Path) -> None:
    """Relative imports work in a file that is named by its path, and the module is the one others import."""
    write("hk_d/__init__.py")
    write("hk_d/sub/__init__.py")
    write("hk_d/base.py", "VALUE = 3")
    write("hk_d/sub/app.py", "from ..base import VALUE\n" + "class Found:\n    value = VALUE\n")
    found = load(parse("hk_d/sub/app.py:Found"), tmp_path)
    assert (found.__module__, found.value) == ("hk_d.sub.app", 3)


def test_a_lone_file_can_import_its_neighbours(write, tmp_path: Path) -> None:
    """A file outside packages runs as a script would: its own folder is importable."""
    write("somewhere/hk_neighbour.py", "VALUE = 4")
    write("somewhere/my-app.py", "import hk_neighbour\nvalue = hk_neighbour.VALUE\n")
    assert load(parse("somewhere/my-app.py:value"), tmp_path) == 4


def test_a_lone_file_is_executed_once(write, tmp_path: Path) -> None:
    """Naming the same file twice gives the same objects."""
    write("hk_once.py", ECHO.format(name="Echo"))
    assert load(parse("hk_once.py:Echo"), tmp_path) is load(parse("./hk_once.py"), tmp_path)


@pytest.mark.parametrize("text", ["hk_e", "hk_e.py"])
def test_the_only_candidate_is_taken(write, tmp_path: Path, text: str) -> None:
    """A module or file without attribute stands for the one handler that it defines."""
    write(
        "hk_e.py",
        """
        import socketserver
        from http.server import SimpleHTTPRequestHandler

        class Only(socketserver.BaseRequestHandler):
            def handle(self): pass

        def main(): pass
        """,
    )
    assert load(parse(text), tmp_path).__name__ == "Only"


def test_several_candidates_are_listed_with_their_commands(write, tmp_path: Path) -> None:
    """Handlers, servers, factories and objects are listed with what to write; helpers and private names are not."""
    write(
        "hk_f.py",
        """
        import functools
        import socketserver

        class Base(socketserver.StreamRequestHandler):
            pass

        class Echo(Base):
            def handle(self): pass

        class Server(socketserver.TCPServer):
            pass

        def make_server(): return Server(("127.0.0.1", 0), Echo)
        def annotated() -> Server: return make_server()
        def run_server(): make_server().serve_forever()
        def _private_server(): return make_server()
        def helper(text): return text

        bound = functools.partial(Echo)
        """,
    )
    with pytest.raises(UsageError) as caught:
        load(parse("hk_f.py"), tmp_path)
    listed = [line.split() for line in str(caught.value).splitlines()[1:]]
    assert [(words[2], " ".join(words[4:])) for words in listed] == [
        ("hk_f.py:Echo", "handler class"),
        ("hk_f.py:Server", "server class"),
        ("hk_f.py:make_server", "server factory"),
        ("hk_f.py:annotated", "server factory"),
        ("hk_f.py:bound", "handler callable"),
    ]


def test_a_module_that_only_imports_handlers_names_them(write, tmp_path: Path) -> None:
    """Imported handlers are not taken, but are offered by name."""
    write("hk_g.py", "from http.server import SimpleHTTPRequestHandler\n")
    with pytest.raises(UsageError, match=r"handshaker run hk_g:SimpleHTTPRequestHandler"):
        load(parse("hk_g"), tmp_path)


POSSIBLE = """
    from http.server import HTTPServer, SimpleHTTPRequestHandler
    import asyncio

    def plain(): return HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    def threaded(port=0): return plain()
    def on(host, port): return HTTPServer((host, port), SimpleHTTPRequestHandler)
    def helper(): return 3
    def needs(store): return HTTPServer(store)
    def main(): plain().serve_forever()
    async def later(): return plain()
    def _private(): return plain()
"""


def test_functions_that_might_be_meant_are_listed_with_what_is_looked_for(write, tmp_path: Path) -> None:
    """Those that speak of servers and can be called are offered as factories; what a factory says of itself is told."""
    write("hk_p.py", POSSIBLE)
    with pytest.raises(UsageError, match="return annotation is a server class, or whose name has the word") as caught:
        load(parse("hk_p.py"), tmp_path)
    assert [line.strip() for line in str(caught.value).splitlines() if "--factory" in line] == [
        "handshaker run hk_p.py --factory hk_p.py:plain",
        "handshaker run hk_p.py --factory hk_p.py:threaded",
        "handshaker run hk_p.py --factory hk_p.py:on",
    ]
    assert "handshaker run hk_p.py:SimpleHTTPRequestHandler" in str(caught.value)


def test_many_functions_that_might_be_meant_are_not_all_listed(write, tmp_path: Path) -> None:
    """When none of them speaks of servers, the first eight are shown, and how many there are besides."""
    write("hk_q.py", "\n".join(f"def f{number}(): pass" for number in range(11)))
    with pytest.raises(UsageError, match=r"hk_q:f7\n    \.\.\. and 3 more$"):
        load(parse("hk_q"), tmp_path)


def test_a_module_without_anything_to_test_says_so(write, tmp_path: Path) -> None:
    """No handler, no server, no factory: that is said."""
    write("hk_h.py", "x = 1\n")
    with pytest.raises(UsageError, match="defines no handler"):
        load(parse("hk_h"), tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hk_serverr:Echo", "did you mean 'hk_server'"),
        ("hk_pack.ap:Echo", "did you mean 'hk_pack.app'"),
        ("hk_server.Echo", "write hk_server:Echo"),
        ("hk_server.py:Ecko", "did you mean 'Echo'"),
        ("hk_server:Zzzzzz", "allowed: Echo"),
        ("hk_servr.py", "did you mean 'hk_server.py'"),
        ("nowhere/app.py", "there is no folder"),
        ("hk_pack/", "is a folder"),
    ],
)
def test_a_wrong_name_is_answered_with_close_ones(write, tmp_path: Path, text: str, said: str) -> None:
    """A module, file or attribute that does not exist is answered with what comes closest."""
    write("hk_server.py", ECHO.format(name="Echo"))
    write("hk_pack/__init__.py")
    write("hk_pack/app.py")
    with pytest.raises(UsageError) as caught:
        load(parse(text), tmp_path)
    assert said in str(caught.value)
    assert text in str(caught.value)


def test_an_import_that_raises_names_the_users_line(write, tmp_path: Path) -> None:
    """The innermost line of the user's own code is named, not the one of the library that it called."""
    write("hk_i.py", "import hk_deep\n")
    write("hk_deep.py", "import json\n\njson.loads('{')\n")
    with pytest.raises(TargetError, match=r"hk_deep\.py:3: JSONDecodeError"):
        load(parse("hk_i:Echo"), tmp_path)


def test_a_syntax_error_names_its_own_line(write, tmp_path: Path) -> None:
    """The line is the one that does not parse."""
    write("hk_j.py", "x = 1\ndef broken(:\n")
    with pytest.raises(TargetError, match=r"hk_j\.py:2: SyntaxError"):
        load(parse("hk_j.py"), tmp_path)


def test_a_missing_dependency_is_not_mistaken_for_a_missing_target(write, tmp_path: Path) -> None:
    """When the target imports something that is not there, that is what is named."""
    write("hk_k.py", "import hk_not_there\n")
    with pytest.raises(TargetError, match=r"hk_k\.py:1.*hk_not_there.*install it"):
        load(parse("hk_k"), tmp_path)


def test_sys_exit_at_import_is_an_error_of_the_target(write, tmp_path: Path) -> None:
    """A module that ends the program when it is imported does not end ours."""
    write("hk_l.py", "import sys\nsys.exit(3)\n")
    with pytest.raises(TargetError, match=r"sys\.exit\(3\).*__main__"):
        load(parse("hk_l"), tmp_path)


def test_a_failed_file_can_be_loaded_again(write, tmp_path: Path) -> None:
    """Half a module is not left behind."""
    path = write("hk_m.py", "raise ValueError\n")
    with pytest.raises(TargetError):
        load(parse("hk_m.py:x"), tmp_path)
    path.write_text("x = 'repaired now'\n")
    assert load(parse("hk_m.py:x"), tmp_path) == "repaired now"


STACK = """Current thread 0x00007f (most recent call first):
  File "{stdlib}/selectors.py", line 415 in select
  File "{stdlib}/socketserver.py", line 232 in {name}
  File "/srv/app/server.py", line 30 in <module>
  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed
"""


@pytest.mark.parametrize("name", ["serve_forever", "handle_request", "unknown"])
def test_a_server_started_by_the_import_is_named_as_such(name: str) -> None:
    """A serving loop, or just a wait for a peer, in the stack of a hanging import: the user's line and the guard."""
    said = import_hang_message(STACK.format(stdlib=Path(os.__file__).parent, name=name), "server.py", 10)
    assert "/srv/app/server.py:30" in said
    assert '__name__ == "__main__"' in said
    assert ("select" if name == "unknown" else name) in said


def test_any_other_hang_names_where_it_stands() -> None:
    """Without a server in the stack the innermost user line is all there is to say."""
    said = import_hang_message(
        '  File "/srv/app/app.py", line 4 in compute\n  File "/srv/app/app.py", line 9 in <module>\n'
    )
    assert "/srv/app/app.py:4" in said
    assert "compute" in said


def test_an_empty_stack_is_no_reason_to_fail() -> None:
    """Nothing known is said as such."""
    assert "did not return within 2.5 seconds" in import_hang_message("", "app", 2.5)
