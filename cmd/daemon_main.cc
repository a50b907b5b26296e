// containerd-sluice-grpc: a containerd proxy snapshotter.
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/synchronization/mutex.h"
#include "base/version.h"
#include "cmd/config.h"
#include "cmd/daemon.h"
#include "cmd/exit_code.h"
#include "cmd/service_manager.h"
#include "cmd/watchdog.h"
#include "glog/logging.h"

namespace {

// Ends the program with a line on stderr.
int Refuse(const absl::Status& status) {
  std::cerr << "containerd-sluice-grpc: " << std::string(status.message()) << std::endl;
  return EXIT_FAILURE;
}

void Tell(const sluice::ServiceManager& manager, const std::string& state) {
  if (const absl::Status told = manager.Tell(state); !told.ok()) LOG(WARNING) << "service manager: " << told.message();
}

}  // namespace

int main(int argc, char** argv) {
  sluice::DaemonOptions options;
  std::string config_path = sluice::kDefaultConfigPath;
  std::string log_level = "info";
  CLI::App app("Proxy snapshotter for containerd: layers straight from where they are.", "containerd-sluice-grpc");
  app.add_option("--config", config_path, "configuration file")->capture_default_str();
  app.add_option("--address", options.address, "Unix socket to serve")->capture_default_str();
  app.add_option("--root", options.root, "directory for snapshots and state")->capture_default_str();
  app.add_option("--log-level", log_level, "what to log")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.set_version_flag("--version", sluice::kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    std::cerr << "containerd-sluice-grpc: " << error.what() << "\ntry 'containerd-sluice-grpc --help'" << std::endl;
    return static_cast<int>(sluice::ExitCode::kUsage);
  }

  // Debian builds absl, whose mutexes gRPC has, to look for cycles in the order of locking, and to abort at one.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  FLAGS_logtostderr = true;
  FLAGS_v = log_level == "debug" ? 1 : 0;
  FLAGS_minloglevel = log_level == "warning" ? google::WARNING : log_level == "error" ? google::ERROR : google::INFO;
  google::InitGoogleLogging(argv[0]);

  // Before any thread is made, so that all of them leave the signals to sigwait().
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const auto manager = sluice::ServiceManager::FromEnvironment();
  if (!manager.ok()) return Refuse(manager.status());
  auto config = sluice::LoadConfig(config_path);
  if (!config.ok()) return Refuse(config.status());
  options.config = *std::move(config);
  options.config_path = config_path;
  const auto daemon = sluice::Daemon::Create(options);
  if (!daemon.ok()) return Refuse(daemon.status());
  Tell(*manager, "READY=1\nSTATUS=serving " + options.address);

  int caught = 0;
  {
    const sluice::Watchdog watchdog(*manager, [&daemon](absl::Duration limit) { return (*daemon)->ProveAlive(limit); });
    sigwait(&signals, &caught);
    // Before the watchdog ends, which may wait for a proof.
    LOG(INFO) << "stopping on signal " << caught;
    Tell(*manager, "STOPPING=1\nSTATUS=stopping: calls under way have five seconds");
  }
  return EXIT_SUCCESS;
}
