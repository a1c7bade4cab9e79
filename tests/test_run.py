"""`./run` in an empty copy of the project: a stub stands for the service, and for uv, so nothing is downloaded."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVICE = """
import os, signal, sys

def main():
    print(sys.argv[1:], flush=True)
    if "tunables" in sys.argv:
        print(os.environ["GLIBC_TUNABLES"])
    if "config" in sys.argv:
        print(os.environ.get("OTP_CONFIG_FILE"))
    if "wait" in sys.argv:
        signal.pause()
    return 3 if "fail" in sys.argv else 0
"""
LOCK = "nowhere==1.0 --hash=sha256:" + "0" * 64 + "\n"
TOOLS = ("sh", "cat", "chmod", "cksum", "dirname", "mkdir", "mktemp", "mv", "rm")


def _hear_interrupts() -> None:
    # What runs in the background of a shell ignores SIGINT, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Copy:
    """A copy of the project with its own PATH: nothing of this machine's is on it but the plainest tools."""

    root: Path
    bin: Path
    called: Path | None = None

    def tool(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def python(self, name: str = "python3") -> None:
        self.tool(name, f'exec "{sys.executable}" "$@"')

    def uv(self) -> None:
        self.tool("uv", f'[ "$1" = --version ] || echo "$*" >>"{self.bin}/installed"')

    def installed(self) -> list[str]:
        log = self.bin / "installed"
        return [Path(line.split()[-1]).name for line in log.read_text().splitlines()] if log.exists() else []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.called or self.root / "run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.bin,
            env={"PATH": str(self.bin), "HOME": str(self.bin), **environment},
            preexec_fn=_hear_interrupts,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate()
        return process.returncode, out, err


@pytest.fixture
def bare(tmp_path: Path) -> Copy:
    """The copy on a machine without any Python."""
    root, tools = tmp_path / "a copy", tmp_path / "bin"
    for folder in (root / "requirements", root / "otp_service", tools):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "run", root)
    for lock in ("runtime.txt", "dev.txt"):
        (root / "requirements" / lock).write_text(LOCK)
    (root / "otp_service" / "__init__.py").touch()
    (root / "otp_service" / "cli.py").write_text(SERVICE)
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    return Copy(root, tools)


@pytest.fixture
def copy(bare: Copy) -> Copy:
    """The copy on a machine with Python, and a uv that says yes to everything."""
    bare.python()
    bare.uv()
    return bare


def one_line(copy: Copy) -> str:
    code, out, err = copy.run("serve")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    return err


def test_no_python(bare: Copy) -> None:
    assert one_line(bare) == "run: no python3 that runs was found: install Python 3.11 or newer\n"


def test_a_shim_that_fails_is_no_python(bare: Copy) -> None:
    bare.tool("python3", "echo 'version 3.12 is not installed' >&2; exit 127")
    assert one_line(bare) == "run: no python3 that runs was found: install Python 3.11 or newer\n"


def test_an_old_python(bare: Copy) -> None:
    bare.tool("python3", '[ "$2" = "" ] || echo old 3.9.2')
    assert one_line(bare) == "run: python3 is 3.9.2: install Python 3.11 or newer\n"


@pytest.mark.long
def test_a_python_without_ensurepip(bare: Copy) -> None:
    bare.tool(
        "python3",
        f'exec "{sys.executable}" -c "import sys; sys.modules[\'ensurepip\'] = None; exec(sys.argv[1])" "$2" pip',
    )
    assert "apt install python3-venv" in one_line(bare)


def test_a_venv_that_cannot_be_made(copy: Copy) -> None:
    copy.tool("python3", f'[ "$1" != -m ] || {{ echo no >&2; exit 1; }}; exec "{sys.executable}" "$@"')
    assert "apt install python3-venv" in one_line(copy)


def test_a_newer_python_is_found_by_its_own_name(bare: Copy) -> None:
    bare.tool("python3", '[ "$2" = "" ] || echo old 3.9.2')
    bare.python("python3.11")
    bare.uv()
    assert bare.run("serve")[:2] == (0, "['serve']\n")


def test_no_index(bare: Copy) -> None:
    bare.python()
    (bare.bin / "pip.py").write_text("import sys; 'install' in sys.argv and sys.exit('Collecting nowhere\\nno index')")
    code, out, err = bare.run("serve", PYTHONPATH=str(bare.bin))
    assert (code, out) == (1, "")
    assert err.splitlines()[-3:-1] == ["Collecting nowhere", "no index"]
    assert err.splitlines()[-1].startswith("run: the packages could not be installed (see above)")
    assert bare.run("serve", PYTHONPATH=str(bare.bin))[0] == 1


@pytest.mark.long
def test_pip_takes_over_where_uv_fails(bare: Copy) -> None:
    bare.python()
    bare.tool("uv", '[ "$1" = --version ]')
    (bare.bin / "pip.py").touch()
    code, out, err = bare.run("serve", PYTHONPATH=str(bare.bin))
    assert (code, out) == (0, "['serve']\n")
    assert "trying pip" in err


@pytest.mark.long
def test_it_says_how_far_it_is_and_not_what_pip_says(bare: Copy) -> None:
    bare.python()
    names = [f"package{number}" for number in range(50)]
    (bare.root / "requirements" / "runtime.txt").write_text(
        "".join(f"{name}==1.0 \\\n    --hash=x\n" for name in names)
    )
    (bare.bin / "pip.py").write_text(
        f"import sys\nif 'install' in sys.argv:\n    for name in {names}: print('Collecting', name, '\\n chatter')"
    )
    code, out, err = bare.run("serve", PYTHONPATH=str(bare.bin))
    assert (code, out) == (0, "['serve']\n")
    assert [line for line in err.splitlines() if "packages" in line] == [
        f"run: {count} of 50 packages fetched" for count in (12, 25, 37, 50)
    ]
    assert len(err.splitlines()) == 6


@pytest.mark.long
def test_it_may_be_called_by_a_symlink(copy: Copy, tmp_path: Path) -> None:
    found = shutil.which("readlink")
    assert found
    (copy.bin / "readlink").symlink_to(found)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy.called = elsewhere / "start"
    copy.called.symlink_to(copy.root / "run")
    assert copy.run("serve")[:2] == (0, "['serve']\n")
    assert (copy.root / ".venv").is_dir()
    assert [*elsewhere.iterdir()] == [copy.called]


def test_no_word_is_dev(copy: Copy) -> None:
    assert copy.run()[1] == "['dev']\n"
    assert copy.run("dev", "--port", "1")[1] == "['dev', '--port', '1']\n"


@pytest.mark.long
def test_dev_finds_a_config_file_beside_the_caller(copy: Copy) -> None:
    assert copy.run("dev", "config", OTP_CONFIG_FILE="mine.toml")[1].splitlines()[1] == f"{copy.bin}/mine.toml"
    assert copy.run("dev", "config", OTP_CONFIG_FILE="/mine.toml")[1].splitlines()[1] == "/mine.toml"
    assert copy.run("dev", "config")[1].splitlines()[1] == "None"


def test_other_words_are_passed_on(copy: Copy) -> None:
    code, out, err = copy.run("clients", "create", "my app", "--json")
    assert (code, out) == (0, "['clients', 'create', 'my app', '--json']\n")
    assert "run: installing" in err
    assert copy.run("fail") == (3, "['fail']\n", "")


def test_help_needs_nothing(bare: Copy) -> None:
    for word in ("help", "-h", "--help"):
        code, out, err = bare.run(word)
        assert (code, err) == (0, "")
        assert "./run test" in out


def test_it_installs_once(copy: Copy) -> None:
    copy.run("serve")
    copy.run("serve")
    assert copy.installed() == ["runtime.txt"]


@pytest.mark.long
def test_a_changed_lock_replaces_the_environment(copy: Copy) -> None:
    copy.run("serve")
    left = copy.root / ".venv" / "bin" / "left"
    left.touch()
    (copy.root / "requirements" / "runtime.txt").write_text("other==1.0\n")
    copy.run("serve")
    assert copy.installed() == ["runtime.txt", "runtime.txt"]
    assert not left.exists()


@pytest.mark.long
def test_an_environment_in_use_stays_until_its_successor_is_complete(copy: Copy) -> None:
    copy.run("serve")
    (copy.root / "requirements" / "runtime.txt").write_text("other==1.0\n")
    copy.tool("uv", f'[ "$1" = --version ] || "{copy.root}/.venv/bin/otp-service" while installing >"{copy.bin}/said"')
    assert copy.run("serve")[:2] == (0, "['serve']\n")
    assert (copy.bin / "said").read_text() == "['while', 'installing']\n"
    assert [path.name for path in sorted(copy.root.glob(".venv*"))] == [".venv", ".venv.lock"]


@pytest.mark.long
def test_an_environment_whose_successor_cannot_be_installed_stays(copy: Copy) -> None:
    copy.run("serve")
    (copy.root / "requirements" / "runtime.txt").write_text("other==1.0\n")
    copy.tool("uv", "exit 1")
    (copy.bin / "pip.py").write_text("import sys; sys.exit('install' in sys.argv)")
    assert copy.run("serve", PYTHONPATH=str(copy.bin))[0] == 1
    (copy.root / "requirements" / "runtime.txt").write_text(LOCK)
    assert copy.run("serve")[:2] == (0, "['serve']\n")


@pytest.mark.long
def test_installed_scripts_name_the_final_environment(copy: Copy) -> None:
    copy.tool("uv", f'[ "$1" = --version ] || echo "#!{copy.root}/.venv.new/bin/python" >"{copy.root}/.venv.new/bin/x"')
    copy.run("serve")
    assert (copy.root / ".venv" / "bin" / "x").read_text() == f"#!{copy.root}/.venv/bin/python\n"


@pytest.mark.long
def test_a_half_finished_environment_is_made_anew(copy: Copy) -> None:
    copy.run("serve")
    left = copy.root / ".venv" / "bin" / "left"
    left.touch()
    (copy.root / ".venv" / ".stamp").unlink()
    copy.run("serve")
    assert not left.exists()


@pytest.mark.long
def test_an_environment_whose_python_is_gone_is_made_anew(copy: Copy) -> None:
    copy.run("serve")
    python = copy.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(copy.root / "gone")
    assert copy.run("serve")[0] == 0


@pytest.mark.long
def test_the_tools_for_tests_are_added_and_serve_for_both(copy: Copy) -> None:
    copy.run("serve")
    kept = copy.root / ".venv" / "bin" / "kept"
    kept.touch()
    copy.run("test")
    copy.run("serve")
    assert copy.installed() == ["runtime.txt", "dev.txt"]
    assert kept.exists()


def test_what_follows_test_goes_to_pytest(copy: Copy) -> None:
    (copy.bin / "pytest.py").write_text("import sys; print(sys.argv[1:])")
    assert copy.run("test", "-q", PYTHONPATH=str(copy.bin))[1] == "['-q']\n"
    long = copy.run("test", "--all", "-q", PYTHONPATH=str(copy.bin))[1]
    assert long == "['-o', 'faulthandler_timeout=900', '--all', '-q']\n"


@pytest.mark.long
@pytest.mark.parametrize(("pytest_code", "report_code", "code"), [(0, 0, 0), (3, 0, 3), (0, 2, 1)])
def test_all_measures_coverage_and_fails_if_tests_or_coverage_fail(
    copy: Copy, pytest_code: int, report_code: int, code: int
) -> None:
    codes = {"run": pytest_code, "report": report_code}
    (copy.bin / "coverage.py").write_text(f"import sys; print(*sys.argv[1:]); sys.exit({codes}.get(sys.argv[1], 0))")
    ended, out, _ = copy.run("test", "--all", PYTHONPATH=str(copy.bin))
    assert ended == code
    assert out.splitlines() == [
        "erase",
        "run -m pytest -o faulthandler_timeout=900 --all",
        "combine --quiet",
        "report",
    ]


@pytest.mark.long
def test_the_service_runs_with_the_allocator_tuned_unless_the_user_did(copy: Copy) -> None:
    assert "glibc.malloc.hugetlb=1:" in copy.run("tunables")[1]
    assert copy.run("tunables", GLIBC_TUNABLES="mine")[1].splitlines()[1] == "mine"


@pytest.mark.long
def test_two_at_once_install_once(copy: Copy) -> None:
    with copy.start("serve") as one, copy.start("serve") as other:
        assert one.communicate()[0] == other.communicate()[0] == "['serve']\n"
    assert copy.installed() == ["runtime.txt"]


@pytest.mark.long
def test_the_lock_of_one_that_was_killed_is_free(copy: Copy) -> None:
    (copy.root / ".venv.lock").touch()
    assert copy.run("serve")[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("signal_sent", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_service(copy: Copy, signal_sent: signal.Signals) -> None:
    with copy.start("wait") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "['wait']\n"
        process.send_signal(signal_sent)
    assert process.returncode == -signal_sent


@pytest.mark.long
def test_a_run_whose_worker_dies_fails_and_ends(tmp_path: Path) -> None:
    (tmp_path / "test_dies.py").write_text("import os\n\ndef test_dies(): os._exit(1)\n\ndef test_next(): pass\n")
    (tmp_path / "test_lives.py").write_text("def test_lives(): pass\n")
    pytest_here = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    done = subprocess.run([*pytest_here, str(tmp_path)], capture_output=True, text=True)
    assert "test_dies.py::test_dies" in done.stdout
    assert done.returncode == 1


def test_a_run_that_hangs_ends_and_shows_where() -> None:
    hanging = "import time\nfrom tests.support.hangs import end_process_after\nend_process_after(0.1)\ntime.sleep(3600)"
    done = subprocess.run([sys.executable, "-c", hanging], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "has not ended within" in done.stderr
    assert 'File "<string>", line 4' in done.stderr


@pytest.mark.parametrize("script", ["run", ".ci/run"])
def test_scripts_pass_shellcheck(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, ROOT / script], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == 0


def test_run_is_plain_sh() -> None:
    assert subprocess.run(["sh", "-n", ROOT / "run"]).returncode == 0
