"""The router's implementations of the ports of `sessions`. `sessions.ports` defines their types."""

from cortensor_site.identity import router_address
from cortensor_site.web import health
from mining import directory
from mining.assignment.dispatch import assign, free_miners
from mining.catalog import prompt_counter
from mining.judging.comparison import judge_answer
from mining.judging.embeddings import embedder
from mining.judging.kept_results import kept_results
from sessions.ports import Ports

PORTS = Ports(
    prompt_counter=prompt_counter,
    embedder=embedder,
    miners_online=directory.miners_online,
    miner_directory=directory.miner_directory,
    task_records=directory.task_records,
    sessions_of_result=directory.sessions_of_result,
    kept_results=kept_results,
    free_miners=free_miners,
    assign=assign,
    judge_answer=judge_answer,
    router_health=health.components,
    parts_away=health.away_s,
    router_address=router_address,
)
