// The daemon's side of sd_notify(3) on a real datagram socket, by path and abstract; the watchdog beside a proof that
// fails.
#include "cmd/service_manager.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/unique_fd.h"
#include "cmd/watchdog.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kWatchdog = absl::Milliseconds(200);

// What the service manager holds: a bound datagram socket.
class NotifySocket {
 public:
  // "@name" is abstract.
  explicit NotifySocket(const std::string& address) : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un own = {};
    own.sun_family = AF_UNIX;
    address.copy(own.sun_path, sizeof(own.sun_path));
    if (address[0] == '@') own.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&own), length), 0) << address;
  }

  // The next message; "" if none comes within `limit`.
  std::string Next(absl::Duration limit = absl::Seconds(10)) const {
    pollfd wanted = {fd_.get(), POLLIN, 0};
    if (poll(&wanted, 1, static_cast<int>(absl::ToInt64Milliseconds(limit))) != 1) return "";
    char text[4096];
    const ssize_t size = recv(fd_.get(), text, sizeof(text), 0);
    return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
  }

 private:
  UniqueFd fd_;
};

class ServiceManagerTest : public ::testing::Test {
 protected:
  ~ServiceManagerTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
  }
  static void Set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }

  testing::TempDir directory_;
  const std::string path_ = directory_.At("notify");
};

TEST_F(ServiceManagerTest, WithoutOneNothingIsSaid) {
  ASSERT_OK_AND_ASSIGN(const ServiceManager manager, ServiceManager::FromEnvironment());
  EXPECT_FALSE(manager.listens());
  EXPECT_EQ(manager.watchdog(), absl::ZeroDuration());
  EXPECT_OK(manager.Tell("READY=1"));
}

TEST_F(ServiceManagerTest, TellsBySocketsOfBothKinds) {
  for (const std::string& address : {path_, absl::StrCat("@sluice-test-", getpid())}) {
    const NotifySocket socket(address);
    Set("NOTIFY_SOCKET", address);
    ASSERT_OK_AND_ASSIGN(const ServiceManager manager, ServiceManager::FromEnvironment());
    EXPECT_OK(manager.Tell("READY=1\nSTATUS=x"));
    EXPECT_EQ(socket.Next(), "READY=1\nSTATUS=x");
    EXPECT_EQ(getenv("NOTIFY_SOCKET"), nullptr);
  }
}

TEST_F(ServiceManagerTest, RefusesWhatIsNoSocket) {
  for (const std::string& address : {std::string("relative"), std::string("@"), std::string(200, '/')}) {
    Set("NOTIFY_SOCKET", address);
    EXPECT_THAT(ServiceManager::FromEnvironment().status(),
                StatusIs(absl::StatusCode::kInvalidArgument, absl::StrCat("NOTIFY_SOCKET=", address)));
  }
  Set("NOTIFY_SOCKET", path_);
  EXPECT_THAT(ServiceManager::FromEnvironment().status(), Not(IsOk())) << "nobody is there";
}

TEST_F(ServiceManagerTest, ItsWatchdogIsOursOnlyUnderOurProcess) {
  const NotifySocket socket(path_);
  struct Row {
    std::string microseconds, pid;
    absl::Duration watchdog;
  };
  for (const Row& row :
       {Row{"2500000", absl::StrCat(getpid()), absl::Milliseconds(2500)}, Row{"2500000", "", absl::Milliseconds(2500)},
        Row{"2500000", "1", absl::ZeroDuration()}, Row{"", absl::StrCat(getpid()), absl::ZeroDuration()}}) {
    Set("NOTIFY_SOCKET", path_);
    Set("WATCHDOG_USEC", row.microseconds);
    Set("WATCHDOG_PID", row.pid);
    ASSERT_OK_AND_ASSIGN(const ServiceManager manager, ServiceManager::FromEnvironment());
    EXPECT_EQ(manager.watchdog(), row.watchdog) << row.microseconds << " " << row.pid;
  }
  for (const char* wrong : {"0", "-1", "soon"}) {
    Set("NOTIFY_SOCKET", path_);
    Set("WATCHDOG_USEC", wrong);
    EXPECT_THAT(ServiceManager::FromEnvironment().status(),
                StatusIs(absl::StatusCode::kInvalidArgument, "WATCHDOG_USEC"));
  }
}

class WatchdogTest : public ServiceManagerTest {
 protected:
  ServiceManager Watching() {
    Set("NOTIFY_SOCKET", path_);
    Set("WATCHDOG_USEC", absl::StrCat(absl::ToInt64Microseconds(kWatchdog)));
    auto manager = ServiceManager::FromEnvironment();
    EXPECT_OK(manager.status());
    return *std::move(manager);
  }

  const NotifySocket socket_{path_};
};

TEST_F(WatchdogTest, SaysNothingThatIsNotProven) {
  std::atomic<bool> stuck = false;
  const ServiceManager manager = Watching();
  const Watchdog watchdog(manager, [&stuck](absl::Duration limit) {
    EXPECT_EQ(limit, kWatchdog / 2);
    return stuck ? absl::UnavailableError("no answer") : absl::OkStatus();
  });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(socket_.Next(), "WATCHDOG=1");
  stuck = true;
  std::string said;
  while ((said = socket_.Next()) == "WATCHDOG=1") {
  }
  for (int i = 0; i < 5; ++i, said = socket_.Next()) EXPECT_EQ(said, "STATUS=stuck: no answer");
  stuck = false;
  while (absl::StartsWith(said, "STATUS=stuck")) said = socket_.Next();
  EXPECT_EQ(said, "WATCHDOG=1\nSTATUS=serving again");
  EXPECT_EQ(socket_.Next(), "WATCHDOG=1");
}

TEST_F(WatchdogTest, AsksNothingWhereNobodyWatches) {
  std::atomic<int> asked = 0;
  ASSERT_OK_AND_ASSIGN(const ServiceManager manager, ServiceManager::FromEnvironment());
  {
    const Watchdog watchdog(manager, [&asked](absl::Duration) {
      ++asked;
      return absl::OkStatus();
    });
    absl::SleepFor(kWatchdog);
  }
  EXPECT_EQ(asked, 0);
}

}  // namespace
}  // namespace sluice
