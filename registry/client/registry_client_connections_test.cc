// Connections: kept for the next request, bounded in number, and left at once by who is cancelled.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "gtest/gtest.h"
#include "registry/client/connection_pool.h"
#include "registry/client/fault_server.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;
using Clock = std::chrono::steady_clock;

// How long `work` takes to return after it has been cancelled. The best of several, since the machine may be busy.
Clock::duration TimeToCancel(const std::function<absl::Status(const Cancellation&)>& work) {
  Clock::duration best = Clock::duration::max();
  for (int i = 0; i < 5 && best > std::chrono::milliseconds(100); ++i) {
    Cancellation cancellation;
    std::atomic<Clock::rep> cancelled_at = 0;
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
      cancelled_at = Clock::now().time_since_epoch().count();
      cancellation.Cancel();
    });
    EXPECT_THAT(work(cancellation), StatusIs(absl::StatusCode::kCancelled));
    best = std::min(best, Clock::now().time_since_epoch() - Clock::duration(cancelled_at.load()));
    canceller.join();
  }
  return best;
}

class ConnectionsTest : public ::testing::Test {
 protected:
  static RegistryClient Client(int max_connections = 32) {
    RegistryClientOptions options;
    options.max_connections = max_connections;
    return RegistryClient(LocalityRules::Create({}).value(), options);
  }
  static absl::Status ReadAll(const RegistryClient& client, const std::string& host, const Cancellation* cancellation) {
    const BlobRequest blob = {.digest = Digest::Of("blob"), .size = 100'000};
    absl::StatusOr<std::unique_ptr<ByteReader>> reader = client.OpenBlob(host, "app", blob, cancellation);
    if (!reader.ok()) return reader.status();
    std::vector<char> buffer(10'000);
    while (true) {
      const absl::StatusOr<size_t> count = (*reader)->Read(absl::MakeSpan(buffer));
      if (!count.ok() || *count == 0) return count.status();
    }
  }
  static std::set<int> Connections(const FaultServer& server) {
    std::set<int> numbers;
    for (const SeenRequest& request : server.requests()) numbers.insert(request.connection);
    return numbers;
  }

  const std::string blob_ = std::string(100'000, 'x');
};

TEST_F(ConnectionsTest, TheLayersOfAnImageShareThem) {
  FaultServer storage("127.0.0.2", blob_);
  FaultServer registry("127.0.0.1", blob_);
  registry.Script({Reply::Redirect(absl::StrCat("http://", storage.host(), "/x"))});
  const RegistryClient client = Client();
  for (int i = 0; i < 10; ++i) EXPECT_OK(ReadAll(client, registry.host(), nullptr));
  EXPECT_EQ(registry.requests().size(), 10u);
  EXPECT_EQ(Connections(registry).size(), 1u);
  EXPECT_EQ(Connections(storage).size(), 1u);
}

TEST_F(ConnectionsTest, OverTlsToo) {
  TempDir dir;
  const TlsIdentity identity = {dir.At("cert.pem"), dir.At("key.pem")};
  ASSERT_EQ(std::system(absl::StrCat("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=nobody -keyout ",
                                     identity.key_file, " -out ", identity.certificate_file, " 2>/dev/null")
                            .c_str()),
            0);
  FaultServer registry("127.0.0.1", blob_, &identity);
  const RegistryClient client = Client();
  for (int i = 0; i < 10; ++i) EXPECT_OK(ReadAll(client, registry.host(), nullptr));
  EXPECT_EQ(Connections(registry).size(), 1u);
}

TEST_F(ConnectionsTest, AnAbandonedBlobDoesNotSpoilTheNext) {
  FaultServer registry("127.0.0.1", std::string(10'000'000, 'x'));
  const RegistryClient client = Client();
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ByteReader> reader,
                         client.OpenBlob(registry.host(), "app", {.digest = Digest::Of("blob")}, nullptr));
    std::vector<char> buffer(1000);
    EXPECT_OK(reader->Read(absl::MakeSpan(buffer)));
  }
  registry.Script({Reply::Blob().Body(blob_)});
  EXPECT_OK(ReadAll(client, registry.host(), nullptr));
}

TEST_F(ConnectionsTest, TheyAreBounded) {
  FaultServer registry("127.0.0.1", blob_);
  const RegistryClient client = Client(3);
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([&] { EXPECT_OK(ReadAll(client, registry.host(), nullptr)); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.requests().size(), 12u);
  EXPECT_LE(Connections(registry).size(), 3u);
}

TEST_F(ConnectionsTest, WhoWaitsForOneCanBeCancelled) {
  FaultServer registry("127.0.0.1", blob_);
  const RegistryClient client = Client(1);
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ByteReader> holder,
                       client.OpenBlob(registry.host(), "app", {.digest = Digest::Of("blob")}, nullptr));
  const auto wait = [&](const Cancellation& cancellation) { return ReadAll(client, registry.host(), &cancellation); };
  EXPECT_LT(TimeToCancel(wait), std::chrono::milliseconds(100));
}

TEST_F(ConnectionsTest, SoCanWhoWaitsForRetryAfter) {
  FaultServer registry("127.0.0.1", blob_);
  const RegistryClient client = Client();
  for (const Reply& first : {Reply::Blob().Cut(50'000, Ending::kReset), Reply::Status(429)}) {
    const auto wait = [&](const Cancellation& cancellation) {
      registry.Script({first, Reply::Status(429).Header("Retry-After: 20")});
      return ReadAll(client, registry.host(), &cancellation);
    };
    EXPECT_LT(TimeToCancel(wait), std::chrono::milliseconds(100));
  }
}

struct Marked : ConnectionPool::Connections {
  explicit Marked(int value) : number(value) {}
  const int number;
};

int NumberOf(ConnectionPool::Lease& lease) {
  return lease.connections() == nullptr ? 0 : static_cast<Marked&>(*lease.connections()).number;
}

TEST(ConnectionPoolTest, GivesBackWhatHasBeenToTheOrigin) {
  const auto pool = std::make_shared<ConnectionPool>(4);
  for (const char* origin : {"a", "b"}) {
    ASSERT_OK_AND_ASSIGN(ConnectionPool::Lease lease, pool->Acquire(origin, AddressReach::kAnywhere, nullptr));
    EXPECT_EQ(NumberOf(lease), 0);
    lease.connections() = std::make_unique<Marked>(origin[0]);
  }
  ASSERT_OK_AND_ASSIGN(ConnectionPool::Lease lease, pool->Acquire("a", AddressReach::kAnywhere, nullptr));
  EXPECT_EQ(NumberOf(lease), 'a');
  // Those are in use now.
  ASSERT_OK_AND_ASSIGN(ConnectionPool::Lease other, pool->Acquire("a", AddressReach::kAnywhere, nullptr));
  EXPECT_EQ(NumberOf(other), 0);
}

TEST(ConnectionPoolTest, ConnectionsThatMayGoAnywhereDoNotServeWhoMayNot) {
  const auto pool = std::make_shared<ConnectionPool>(4);
  {
    ASSERT_OK_AND_ASSIGN(ConnectionPool::Lease lease, pool->Acquire("a", AddressReach::kAnywhere, nullptr));
    lease.connections() = std::make_unique<Marked>(1);
  }
  ASSERT_OK_AND_ASSIGN(ConnectionPool::Lease lease, pool->Acquire("a", AddressReach::kPublicOnly, nullptr));
  EXPECT_EQ(NumberOf(lease), 0);
}

TEST(ConnectionPoolTest, LeasesOutliveThePool) {
  auto pool = std::make_shared<ConnectionPool>(1);
  ASSERT_OK_AND_ASSIGN(ConnectionPool::Lease lease, pool->Acquire("a", AddressReach::kAnywhere, nullptr));
  lease.connections() = std::make_unique<Marked>(1);
  pool.reset();
  EXPECT_EQ(NumberOf(lease), 1);
}

}  // namespace
}  // namespace sluice
