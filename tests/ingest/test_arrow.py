"""Without pyarrow reading files is not possible, and says which extra brings it."""

import subprocess
import sys


def test_its_absence_names_the_extra() -> None:
    program = "import sys; sys.modules['pyarrow'] = None; import besmart_async; import besmart_async.ingest"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("reading files needs pyarrow: pip install 'besmart-async[files]'")


def test_p1_telegrams_say_which_extra_they_need() -> None:
    program = (
        "import sys; sys.modules['dsmr_parser'] = None\n"
        "from besmart_async.ingest.sources import TelegramSource\n"
        "TelegramSource(None).check()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "P1 telegrams need dsmr_parser: pip install 'besmart-async[dsmr]'" in done.stderr
