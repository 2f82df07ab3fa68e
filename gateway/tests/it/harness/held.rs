//! A request that is under way for as long as the test wants.

use bytes::Bytes;
use http_body::Frame;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Reply, TestGateway, channel, within};

/// A request to `reads_the_whole_body` whose body has not ended: it has its instance until then.
pub(crate) struct Held {
    body: mpsc::Sender<Frame<Bytes>>,
    answer: JoinHandle<Reply>,
}

impl TestGateway {
    /// Sends the request, and waits until it has its instance.
    pub(crate) async fn hold(&self) -> Held {
        let (sender, body) = channel();
        let request = self
            .request("POST", "/reads-the-whole-body")
            .body(body)
            .unwrap();
        let mut connection = self.http1().await;
        let answer = tokio::spawn(async move {
            Reply::of(connection.send_request(request).await.unwrap())
                .await
                .unwrap()
        });
        self.wait_for_in_flight("reads-the-whole-body", 1).await;
        Held {
            body: sender,
            answer,
        }
    }
}

impl Held {
    /// Ends the body, of three bytes, and reads the answer, which tells how many they were.
    pub(crate) async fn finish(self) {
        self.body
            .send(Frame::data(Bytes::from("abc")))
            .await
            .unwrap();
        drop(self.body);
        let reply = within("the held request", self.answer).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "3"));
    }
}
