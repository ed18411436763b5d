"""A private Spark for one run: started quietly, its scratch in the run's own folder, gone afterwards with its Java process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from etl.dedupe.model import Limits
from etl.dedupe.spark_functions import function_statements
from etl.errors import ConfigurationError
from etl.personal_files import make_private_folder
from etl.settings import SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG: Final = "spark.log"
OLDEST_JAVA: Final = 17
OLDEST_SPARK: Final = 4
AT_LAUNCH: Final = ("spark.driver.", "spark.jars", "spark.master", "spark.submit.", "spark.yarn.", "spark.kubernetes.")
"""Settings that Java needs on its command line; all others stay off it, where `ps` would show them."""

STOP_S: Final = 20
QUIET: Final = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yyyy-MM-dd HH:mm:ss} %p %c{1}: %m%n%ex{short}
"""


def require_spark() -> None:
    """Raise ConfigurationError, with the command that installs it, when PySpark or Java is missing or too old. Starts nothing."""
    try:
        found = version("pyspark")
    except PackageNotFoundError as error:
        raise ConfigurationError(
            "Deduplication on Spark needs PySpark, which is not installed.",
            "Install it: uv tool install 'membershift[spark]' or pipx install 'membershift[spark]'. Or use --engine duckdb.",
        ) from error
    if int(found.split(".")[0]) < OLDEST_SPARK:
        raise ConfigurationError(
            f"PySpark {found} is too old: {OLDEST_SPARK}.0 or newer is needed.",
            "Install it again: uv tool install --upgrade 'membershift[spark]'. Or use --engine duckdb.",
        )
    install = "Debian 12 or newer, as root: apt-get install --no-install-recommends default-jre-headless. Or use --engine duckdb."
    java = java_version()
    if java is None:
        raise ConfigurationError(f"Spark needs Java {OLDEST_JAVA} or newer; neither JAVA_HOME nor PATH leads to one.", install)
    if java < OLDEST_JAVA:
        raise ConfigurationError(f"Spark needs Java {OLDEST_JAVA} or newer, and this one is {java}.", install)


def java_version() -> int | None:
    """The version of the Java that Spark would start; None without one."""
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if command is None:
        return None
    try:
        said = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    return read_java_version(said)


def read_java_version(said: str) -> int | None:
    """The version in what `java -version` says.

    >>> read_java_version('openjdk version "17.0.15" 2025-04-15'), read_java_version('java version "1.8.0_412"')
    (17, 8)
    """
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else None


@contextmanager
def open_spark(settings: SparkSettings, limits: Limits, folder: Path) -> Iterator[SparkSession]:
    """A session that knows the functions of comparison sets. What Java says goes to spark.log in `folder`.

    Raises ConfigurationError when Spark cannot be started, or stops with an error of its own.
    """
    require_spark()
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    parent = make_private_folder(limits.temp or folder)
    log = folder / LOG
    interrupt = signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=parent, prefix=".spark-") as scratch, open_log(log) as said:
        warnings.simplefilter("ignore", FutureWarning)  # of pandas, which is not used here
        try:
            session = start(spark_conf(settings, limits, Path(scratch)), said)
            try:
                yield session
            finally:
                stop(session)
        except (Py4JError, PySparkException, OSError) as error:
            raise ConfigurationError(
                f"Spark at {settings.master} stopped: {reason(error)}.",
                f"Read {log}. Where memory ran out, raise memory_limit_gib in [dedupe] (Spark's driver) or spark.executor.memory "
                "in [dedupe.spark.conf].",
            ) from error
        finally:
            restore_interrupt(interrupt)


def open_log(path: Path) -> IO[bytes]:
    """Where Java's output goes: for the owner only, since an error may show a value."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def spark_conf(settings: SparkSettings, limits: Limits, scratch: Path) -> dict[str, str]:
    """All settings of the session; those of `settings` win, jars and Java's options are added to ours."""
    from splink.backends.spark import similarity_jar_location

    quiet = scratch / "log4j2.properties"
    quiet.write_text(QUIET)
    # Scratch goes where Java keeps temporary files. Not spark.local.dir: that would name this folder to other machines too.
    conf = {
        "spark.app.name": "membershift dedupe",
        "spark.master": settings.master,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": java_memory(limits.memory),
        "spark.driver.maxResultSize": "0",
        "spark.driver.extraJavaOptions": f'-Dlog4j2.configurationFile={quiet.as_uri()} "-Djava.io.tmpdir={scratch}"',
        "spark.jars": similarity_jar_location(),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
    }
    if settings.master.startswith("local"):
        conf |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}  # nobody else is to reach it
    own = {name: value.get_secret_value() for name, value in settings.conf.items()}
    for name, between in (("spark.jars", ","), ("spark.driver.extraJavaOptions", " ")):
        if name in own:
            own[name] = f"{conf[name]}{between}{own[name]}"
    return conf | own


def java_memory(memory: str) -> str:
    """DuckDB's way of writing memory as Java's.

    >>> java_memory("2048MiB"), java_memory("1GB")
    ('2048m', '1g')
    """
    return re.sub(r"\s*([KMGT])i?B?$", lambda unit: unit[1].lower(), memory.strip(), flags=re.IGNORECASE)


def start(conf: Mapping[str, str], said: IO[bytes]) -> SparkSession:
    """Start Java and open a session."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    at_launch = {name: value for name, value in conf.items() if name.startswith(AT_LAUNCH)}
    launch = SparkConf(loadDefaults=False).setAll(list(at_launch.items()))
    gateway = launch_gateway(launch, {"stdout": said, "stderr": said})
    try:
        context = SparkContext(conf=SparkConf(loadDefaults=False).setAll(list(conf.items())), gateway=gateway)
    except BaseException:
        end_java(gateway)
        raise
    session = SparkSession(context)
    if conf["spark.master"].startswith("local") and "spark.sql.shuffle.partitions" not in conf:
        session.conf.set("spark.sql.shuffle.partitions", str(context.defaultParallelism))  # not the 200 of a cluster
    return session


def stop(session: SparkSession) -> None:
    """Close the session and end its Java process."""
    from py4j.protocol import Py4JError
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    try:
        with suppress(Py4JError, OSError):  # it may have ended by itself, which was told where it was noticed
            session.stop()
    finally:
        end_java(gateway)


def end_java(gateway: Any) -> None:
    """Java ends when its input does; one that does not is killed."""
    from py4j.protocol import Py4JError
    from pyspark import SparkContext

    SparkContext._gateway = SparkContext._jvm = None
    if gateway is None:
        return
    with suppress(Py4JError, OSError):
        gateway.shutdown()
    if gateway.proc is not None:
        with suppress(OSError):
            gateway.proc.stdin.close()
        try:
            gateway.proc.wait(STOP_S)
        except subprocess.TimeoutExpired:
            gateway.proc.kill()
            gateway.proc.wait()


def bring_functions(session: SparkSession) -> None:
    """Functions of DuckDB for comparison sets; those of Splink's library must be registered before."""
    for statement in function_statements():
        session.sql(statement)


def reason(error: Exception) -> str:
    """What happened, without values: an error's class, and Spark's name for it."""
    condition = getattr(error, "getCondition", lambda: None)()
    return f"{type(error).__name__}, {condition}" if condition else type(error).__name__


def restore_interrupt(handler: Any) -> None:
    """Ctrl-C as before: Spark puts its own handler in place. Only the main thread may."""
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:
        return
