"""What the pump does with connections, as a server that speaks HTTP/2 sees it."""

import subprocess

import pytest
import trustme
from services import die_with_parent, free_port, wait_for

from tests.bench.receiver import BINARY, MODULES
from tests.bench.watching import until
from tests.wire.transports import Curl, job_for

_CONFIG = """
daemon off;
load_module {modules}/ngx_http_echo_module.so;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{}}
http {{
    log_format seen '$server_protocol $connection $ssl_session_reused';
    access_log {folder}/access.log seen;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/receiver.pem;
    ssl_certificate_key {folder}/receiver.pem;
    ssl_session_cache shared:sessions:1m;
    {extra}
    server {{ listen 127.0.0.1:{port} {speaks}; location / {{ {answer} }} }}
}}
"""


@pytest.fixture
def served(tmp_path):
    """Runs nginx; gives its URL and what its log says: protocol, connection, resumed or not."""
    running = []

    def serve(*, scheme="https", http2=False, extra="", answer="return 204;"):
        authority = trustme.CA()
        leaf = authority.issue_cert("127.0.0.1")
        leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "receiver.pem"))
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        port = free_port()
        speaks = ("ssl " if scheme == "https" else "") + ("http2" if http2 else "")
        text = _CONFIG.format(
            folder=tmp_path, modules=MODULES, port=port, speaks=speaks, extra=extra, answer=answer
        )
        (tmp_path / "nginx.conf").write_text(text)
        command = [BINARY, "-c", tmp_path / "nginx.conf", "-p", tmp_path]
        server = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent())
        running.append(server)
        wait_for("nginx", server, (tmp_path / "nginx.pid").exists)
        return f"{scheme}://127.0.0.1:{port}/"

    yield serve
    for server in running:
        server.terminate()
        server.wait(20)


@pytest.fixture
def curl(tmp_path):
    made = []

    def make():
        made.append(Curl(ca_bundle=str(tmp_path / "authority.pem")))
        return made[-1]

    yield make
    for one in made:
        one.close()


def seen(tmp_path, number):
    """So many requests: protocol, connection, and whether its TLS session was an earlier one."""
    log = tmp_path / "access.log"
    until(lambda: log.read_text().count("\n") == number)
    return [line.split() for line in log.read_text().splitlines()]


def test_posts_to_a_host_that_speaks_http2_share_one_connection(served, curl, tmp_path):
    replies = curl().post_all([job_for(served(http2=True))] * 40)
    assert [reply.status_code for reply in replies] == [204] * 40
    assert {protocol for protocol, *_ in seen(tmp_path, 40)} == {"HTTP/2.0"}
    assert len({connection for _, connection, _ in seen(tmp_path, 40)}) == 1


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_nobody_waits_for_another_answer_of_a_host_that_speaks_http_1(
    scheme, served, curl, tmp_path
):
    url = served(scheme=scheme, extra="keepalive_requests 1000;", answer="echo_sleep 1; echo;")
    replies = curl().post_all([job_for(url)] * 40)
    assert [reply.status_code for reply in replies] == [200] * 40
    assert {protocol for protocol, *_ in seen(tmp_path, 40)} == {"HTTP/1.1"}
    assert len({connection for _, connection, _ in seen(tmp_path, 40)}) > 20


def test_a_new_connection_to_a_known_host_resumes_its_tls_session(served, curl, tmp_path):
    transport, url = curl(), served(extra="keepalive_timeout 0;")
    for _ in range(3):
        assert transport.post(job_for(url)).status_code == 204
    first, *others = seen(tmp_path, 3)
    assert first[2] == "."
    assert [resumed for *_, resumed in others] == ["r", "r"]
