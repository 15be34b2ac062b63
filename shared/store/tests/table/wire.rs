//! A proxy between the store and the table. It records requests, loses answers, and answers in place of DynamoDB.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// What the proxy does with one request.
pub(crate) enum Act {
    /// Passes it on, and returns the answer.
    Pass,
    /// Passes it on, and closes the connection before the answer.
    LoseAnswer,
    /// Passes it on, and reports when it was carried out. Returns the answer after a signal.
    HoldAnswer(oneshot::Sender<()>, oneshot::Receiver<()>),
    /// Does not pass it on. Answers with this status and body.
    Answer(u16, String),
    /// Does not pass it on, and never answers.
    Silence,
}

/// A proxy on a port of its own. It passes on requests for which the script has no entry.
pub(crate) struct Wire {
    pub(crate) endpoint: String,
    script: Arc<Mutex<VecDeque<Act>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// Starts a proxy to `upstream`, an address such as `http://127.0.0.1:8000/path`.
    pub(crate) async fn to(upstream: &str) -> Self {
        let (upstream, path) = upstream.trim_start_matches("http://").split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/{path}", listener.local_addr().unwrap());
        let wire = Self { endpoint, script: Arc::default(), requests: Arc::default() };
        let (script, requests, upstream) = (wire.script.clone(), wire.requests.clone(), upstream.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (script, requests, upstream) = (script.clone(), requests.clone(), upstream.clone());
                tokio::spawn(async move { serve(client, &upstream, &script, &requests).await });
            }
        });
        wire
    }

    /// Sets what happens to the next requests.
    pub(crate) fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().unwrap().extend(acts);
    }

    /// The operations requested since the last call, such as `GetItem`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

async fn serve(
    client: TcpStream,
    upstream: &str,
    script: &Mutex<VecDeque<Act>>,
    requests: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let (head, message) = read_message(&mut client).await?;
        let target = head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-amz-target:"));
        let operation = target.and_then(|line| line.rsplit('.').next()).unwrap_or_default().trim().to_owned();
        requests.lock().unwrap().push(operation);
        let act = script.lock().unwrap().pop_front().unwrap_or(Act::Pass);
        match act {
            Act::Answer(status, body) => {
                let head = format!("HTTP/1.1 {status} Scripted\r\nContent-Type: application/x-amz-json-1.0\r\n");
                let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                client.get_mut().write_all(answer.as_bytes()).await?;
            }
            Act::Silence => std::future::pending().await,
            Act::Pass | Act::LoseAnswer | Act::HoldAnswer(..) => {
                let mut server = BufReader::new(TcpStream::connect(upstream).await?);
                server.get_mut().write_all(&message).await?;
                let (_, answer) = read_message(&mut server).await?;
                match act {
                    Act::LoseAnswer => return Ok(()),
                    Act::HoldAnswer(carried_out, may_go_on) => {
                        carried_out.send(()).ok();
                        may_go_on.await.ok();
                    }
                    _ => {}
                }
                client.get_mut().write_all(&answer).await?;
            }
        }
    }
}

/// Reads one HTTP message with a `Content-Length`: returns its head, and the whole message.
async fn read_message(from: &mut BufReader<TcpStream>) -> io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let start = head.len();
        if from.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if &head[start..] == "\r\n" {
            break;
        }
    }
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body).await?;
    let message = [head.as_bytes(), &body].concat();
    Ok((head, message))
}
