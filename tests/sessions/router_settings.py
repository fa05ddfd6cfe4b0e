"""The settings of a web process in these tests: what stands above sessions is `ports`."""

from cortensor_site.settings import *  # noqa: F403

PROMPT_COUNTER = "tests.sessions.ports.prompt_counter"
MINERS_ONLINE = "tests.sessions.ports.miners_online"
MINER_DIRECTORY = "tests.sessions.ports.miner_directory"
TASK_RECORDS = "tests.sessions.ports.task_records"
KEPT_RESULTS = "tests.sessions.ports.kept_results"
ROUTER_HEALTH = "tests.sessions.ports.router_health"
PARTS_AWAY = "tests.sessions.ports.parts_away"
ROUTER_ADDRESS = "tests.sessions.ports.router_address"
