#include "registry/client/registry_client.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "gtest/gtest.h"
#include "registry/client/fake_http_server.h"
#include "registry/client/fake_retry_clock.h"
#include "registry/locality.h"
#include "registry/manifest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using Connection = FakeHttpServer::Connection;
using Clock = std::chrono::steady_clock;

const char kManifest[] =
    R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,)"
    R"("digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]})";

RegistryClientOptions Quick() {
  RegistryClientOptions options;
  options.connect_timeout = std::chrono::seconds(2);
  options.stall_timeout = std::chrono::milliseconds(300);
  options.document_timeout = std::chrono::milliseconds(800);
  options.clock = std::make_shared<FakeRetryClock>();
  return options;
}

class RegistryClientTest : public ::testing::Test {
 protected:
  void Serve(FakeHttpServer::Handler handler) {
    server_ = std::make_unique<FakeHttpServer>("127.0.0.1", std::move(handler));
  }
  void Answer(const std::string& answer) {
    Serve([answer](const std::string&, const Connection& connection) { connection.Send(answer); });
  }
  Reference Ref(const std::string& rest) { return ParseReference(absl::StrCat(server_->host(), "/", rest)).value(); }
  absl::StatusOr<FetchedManifest> Fetch(const std::string& rest) { return client_.FetchManifest(Ref(rest), nullptr); }
  absl::StatusOr<std::string> FetchBlob(const std::string& content, int64_t max_bytes = 100) {
    return client_.FetchBlobDocument(server_->host(), "app", Digest::Of(content), max_bytes, nullptr);
  }

  const RegistryClient client_{LocalityRules::Create({}).value(), Quick()};
  std::unique_ptr<FakeHttpServer> server_;
};

TEST_F(RegistryClientTest, FetchesAManifestByTag) {
  Answer(HttpAnswer(200, kManifest, {"Docker-Content-Digest: " + Digest::Of(kManifest).ToString()}));
  ASSERT_OK_AND_ASSIGN(const FetchedManifest fetched, Fetch("a/b:1"));
  EXPECT_EQ(fetched.bytes, kManifest);
  EXPECT_EQ(fetched.descriptor.digest, Digest::Of(kManifest));
  EXPECT_EQ(fetched.descriptor.size, static_cast<int64_t>(sizeof(kManifest) - 1));
  EXPECT_TRUE(IsManifest(fetched.descriptor));
  EXPECT_EQ(server_->requests(), std::vector<std::string>{"GET /v2/a/b/manifests/1 HTTP/1.1"});
}

TEST_F(RegistryClientTest, NamesTheMediaTypesItTakes) {
  std::string accept;
  Serve([&accept](const std::string& head, const Connection& connection) {
    accept = head;
    connection.Send(HttpAnswer(200, kManifest));
  });
  ASSERT_OK(Fetch("app:1"));
  for (const char* type :
       {"oci.image.index.v1", "oci.image.manifest.v1", "manifest.list.v2", "distribution.manifest.v2"}) {
    EXPECT_TRUE(absl::StrContains(accept, type)) << accept;
  }
  EXPECT_FALSE(absl::StrContains(accept, "Authorization"));
}

TEST_F(RegistryClientTest, ByDigestTheBodyIsVerified) {
  Answer(HttpAnswer(200, kManifest));
  EXPECT_OK(Fetch("app:1@" + Digest::Of(kManifest).ToString()));
  EXPECT_EQ(server_->requests()[0],
            absl::StrCat("GET /v2/app/manifests/", Digest::Of(kManifest).ToString(), " HTTP/1.1"));
  EXPECT_THAT(Fetch("app@" + Digest::Of("other").ToString()),
              StatusIs(absl::StatusCode::kDataLoss, "the body has digest"));
}

TEST_F(RegistryClientTest, AnAnnouncedDigestMustBeTheBodys) {
  Answer(HttpAnswer(200, kManifest, {"Docker-Content-Digest: " + Digest::Of("other").ToString()}));
  EXPECT_THAT(Fetch("app:1"), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(RegistryClientTest, WhatIsNoManifestIsRefused) {
  Answer(HttpAnswer(200, "<html>please log in</html>"));
  EXPECT_THAT(Fetch("app:1"), StatusIs(absl::StatusCode::kInvalidArgument, "not JSON"));
}

TEST_F(RegistryClientTest, FetchesASmallBlob) {
  Answer(HttpAnswer(200, "{}"));
  EXPECT_EQ(FetchBlob("{}").value(), "{}");
  EXPECT_EQ(server_->requests()[0], absl::StrCat("GET /v2/app/blobs/", Digest::Of("{}").ToString(), " HTTP/1.1"));
  EXPECT_THAT(FetchBlob("[]"), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(RegistryClientTest, SizesAreCapped) {
  Answer(HttpAnswer(200, std::string(101, 'x')));
  EXPECT_THAT(FetchBlob("x"), StatusIs(absl::StatusCode::kInvalidArgument, "larger than 100 bytes"));
  // Without a length, and without an end.
  Serve([](const std::string&, const Connection& connection) {
    connection.Send("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (connection.Send("a\r\n0123456789\r\n")) {
    }
  });
  EXPECT_THAT(FetchBlob("x"), StatusIs(absl::StatusCode::kInvalidArgument, "larger than 100 bytes"));
}

TEST_F(RegistryClientTest, AnEndlessHeadIsRefused) {
  Serve([](const std::string&, const Connection& connection) {
    connection.Send("HTTP/1.1 200 x\r\n");
    while (connection.Send("X-Header: " + std::string(1000, 'x') + "\r\n")) {
    }
  });
  EXPECT_THAT(FetchBlob("x"), StatusIs(absl::StatusCode::kPermissionDenied, "too large"));
}

TEST_F(RegistryClientTest, StatusesBecomeErrors) {
  const std::vector<std::pair<int, absl::StatusCode>> cases = {
      {401, absl::StatusCode::kUnauthenticated},    {403, absl::StatusCode::kPermissionDenied},
      {404, absl::StatusCode::kNotFound},           {429, absl::StatusCode::kUnavailable},
      {500, absl::StatusCode::kUnavailable},        {503, absl::StatusCode::kUnavailable},
      {418, absl::StatusCode::kFailedPrecondition},
  };
  for (const auto& [status, code] : cases) {
    Answer(HttpAnswer(status, R"({"errors":[{"code":"X","message":"the registry's\nown words"}]})"));
    EXPECT_THAT(Fetch("app:1"), StatusIs(code, absl::StrCat("GET http://", server_->host(),
                                                            "/v2/app/manifests/1: HTTP status ", status)));
  }
  Answer(HttpAnswer(404, R"({"errors":[{"code":"X","message":"own\nwords"}]})"));
  EXPECT_THAT(Fetch("app:1"), StatusIs(absl::StatusCode::kNotFound, "status 404: own\\nwords"));
}

TEST_F(RegistryClientTest, NobodyListens) {
  Answer("");
  const Reference reference = Ref("app:1");
  server_.reset();
  EXPECT_THAT(client_.FetchManifest(reference, nullptr),
              StatusIs(absl::StatusCode::kUnavailable, "Connection refused"));
}

TEST_F(RegistryClientTest, ATruncatedBodyIsAnError) {
  Answer("HTTP/1.1 200 x\r\nContent-Length: 50\r\n\r\n{\"schema");
  EXPECT_THAT(Fetch("app:1"), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(RegistryClientTest, ASilentServerStalls) {
  Serve([](const std::string&, const Connection& connection) { connection.AwaitClose(); });
  EXPECT_THAT(Fetch("app:1"), StatusIs(absl::StatusCode::kUnavailable, "no answer for 300 ms"));
  Serve([](const std::string&, const Connection& connection) {
    connection.Send("HTTP/1.1 200 x\r\nContent-Length: 50\r\n\r\n{");
    connection.AwaitClose();
  });
  EXPECT_THAT(Fetch("app:1"), StatusIs(absl::StatusCode::kUnavailable, "only 1 bytes in 300 ms"));
}

TEST_F(RegistryClientTest, ADrippingServerIsLeft) {
  Serve([](const std::string&, const Connection& connection) {
    connection.Send("HTTP/1.1 200 x\r\nContent-Length: 5000\r\n\r\n");
    while (connection.Send(" ")) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  EXPECT_THAT(Fetch("app:1"), StatusIs(absl::StatusCode::kUnavailable, " bytes in 300 ms"));
  // Fast enough to be no stall, and still without an end.
  Serve([](const std::string&, const Connection& connection) {
    connection.Send("HTTP/1.1 200 x\r\nContent-Length: 4000000\r\n\r\n");
    while (connection.Send(std::string(5000, ' '))) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  EXPECT_THAT(Fetch("app:1"), StatusIs(absl::StatusCode::kUnavailable, "takes too long"));
}

TEST_F(RegistryClientTest, CancelsWithin100Milliseconds) {
  for (const std::string& before : {std::string(), std::string("HTTP/1.1 200 x\r\nContent-Length: 50\r\n\r\n{")}) {
    Serve([&before](const std::string&, const Connection& connection) {
      connection.Send(before);
      connection.AwaitClose();
    });
    RegistryClientOptions patient;
    const RegistryClient client(LocalityRules::Create({}).value(), patient);
    Cancellation cancellation;
    std::atomic<Clock::rep> cancelled_at = 0;
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      cancelled_at = Clock::now().time_since_epoch().count();
      cancellation.Cancel();
    });
    EXPECT_THAT(client.FetchManifest(Ref("app:1"), &cancellation), StatusIs(absl::StatusCode::kCancelled));
    const Clock::duration took = Clock::now().time_since_epoch() - Clock::duration(cancelled_at.load());
    EXPECT_LT(took, std::chrono::milliseconds(100));
    canceller.join();
  }
}

TEST_F(RegistryClientTest, FollowsRedirects) {
  FakeHttpServer storage("127.0.0.1", [](const std::string&, const Connection& c) { c.Send(HttpAnswer(200, "{}")); });
  for (const int status : {301, 302, 303, 307, 308}) {
    Serve([&](const std::string& head, const Connection& connection) {
      if (absl::StrContains(head, "/v2/")) {
        connection.Send(HttpAnswer(status, "", {"Location: /relative?x=1"}));
      } else {
        connection.Send(
            HttpAnswer(status, "", {absl::StrCat("Location: http://", storage.host(), "/signed?secret=1")}));
      }
    });
    EXPECT_EQ(FetchBlob("{}").value(), "{}") << status;
  }
  EXPECT_EQ(storage.requests().back(), "GET /signed?secret=1 HTTP/1.1");
}

TEST_F(RegistryClientTest, RefusesBadRedirects) {
  const std::vector<std::pair<std::string, absl::StatusCode>> cases = {
      {"http://169.254.169.254/latest", absl::StatusCode::kPermissionDenied},
      {"http://2852039166/latest", absl::StatusCode::kPermissionDenied},
      {"http://0xa9.0xfe.0xa9.0xfe/latest", absl::StatusCode::kPermissionDenied},
      {"http://[::ffff:169.254.169.254]/latest", absl::StatusCode::kPermissionDenied},
      {"http://[fd00:ec2::254]/latest", absl::StatusCode::kPermissionDenied},
      {"file:///etc/passwd", absl::StatusCode::kInvalidArgument},
      {"gopher://127.0.0.1/x", absl::StatusCode::kInvalidArgument},
      {"http://user:password@127.0.0.1/x", absl::StatusCode::kInvalidArgument},
      {"http://", absl::StatusCode::kInvalidArgument},
      {"/again", absl::StatusCode::kUnavailable},
  };
  for (const auto& [location, code] : cases) {
    Answer(HttpAnswer(302, "", {"Location: " + location}));
    EXPECT_THAT(FetchBlob("{}"), StatusIs(code)) << location;
  }
  EXPECT_EQ(server_->requests().size(), 6u);  // one and five redirects
}

TEST_F(RegistryClientTest, MetadataAddressesAreNeverAsked) {
  for (const char* host : {"169.254.169.254", "169.254.169.254:80", "[fd00:ec2::254]"}) {
    EXPECT_THAT(client_.FetchBlobDocument(host, "app", Digest(), 10, nullptr),
                StatusIs(absl::StatusCode::kPermissionDenied, "never asked"));
  }
}

TEST_F(RegistryClientTest, ErrorsDoNotShowTheQuery) {
  Serve([](const std::string& head, const Connection& connection) {
    connection.Send(absl::StrContains(head, "/v2/") ? HttpAnswer(302, "", {"Location: /x?signature=secret"})
                                                    : HttpAnswer(403, ""));
  });
  const absl::Status status = FetchBlob("{}").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied, "/x: HTTP status 403"));
  EXPECT_FALSE(absl::StrContains(status.message(), "secret"));
}

TEST_F(RegistryClientTest, StreamsABigBlob) {
  std::string body;
  while (body.size() < 20'000'000) absl::StrAppend(&body, body.size(), ",");
  Answer(HttpAnswer(200, body));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ByteReader> reader,
                       client_.OpenBlob(server_->host(), "app", {.digest = Digest::Of(body)}, nullptr));
  // A reader slower than the sender: what does not fit waits in the socket.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  std::string read;
  for (size_t size = 1;; size = size * 7 % 300'007 + 1) {
    std::vector<char> buffer(size);
    ASSERT_OK_AND_ASSIGN(const size_t count, reader->Read(absl::MakeSpan(buffer)));
    if (count == 0) break;
    read.append(buffer.data(), count);
  }
  EXPECT_TRUE(read == body) << read.size() << " of " << body.size();
  EXPECT_EQ(reader->Read(absl::MakeSpan(&read[0], 1)).value(), 0u);
}

TEST_F(RegistryClientTest, AnAbandonedStreamIsClosed) {
  std::atomic<bool> closed = false;
  Serve([&closed](const std::string&, const Connection& connection) {
    connection.Send("HTTP/1.1 200 x\r\n\r\n");
    while (connection.Send(std::string(10'000, 'x'))) {
    }
    closed = true;
  });
  { ASSERT_OK(client_.OpenBlob(server_->host(), "app", {.digest = Digest()}, nullptr)); }
  for (int i = 0; i < 100 && !closed; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace sluice
