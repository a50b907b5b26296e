#include "cmd/metrics/process_metrics.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"
#include "cmd/directory_names.h"

namespace sluice {
namespace {

std::string ReadProc(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// Fields of /proc/self/stat after the program's name, numbered as proc(5) does.
class ProcessStat {
 public:
  ProcessStat() {
    const std::string text = ReadProc("/proc/self/stat");
    const size_t end_of_name = text.rfind(") ");
    if (end_of_name != std::string::npos) fields_ = absl::StrSplit(text.substr(end_of_name + 2), ' ');
  }

  double Field(size_t number) const {
    constexpr size_t kFirst = 3;
    double value = 0;
    if (number - kFirst >= fields_.size() || !absl::SimpleAtod(fields_[number - kFirst], &value)) return 0;
    return value;
  }

 private:
  std::vector<std::string> fields_;
};

double BootTime() {
  for (const absl::string_view line : absl::StrSplit(ReadProc("/proc/stat"), '\n')) {
    double seconds = 0;
    if (absl::StartsWith(line, "btime ") && absl::SimpleAtod(line.substr(sizeof("btime ") - 1), &seconds)) {
      return seconds;
    }
  }
  return 0;
}

double OpenDescriptors() {
  const UniqueFd directory(open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return 0;
  const absl::StatusOr<std::vector<std::string>> names = NamesIn(directory.get(), "/proc/self/fd");
  // Two of them are those that list.
  return names.ok() ? static_cast<double>(names->size()) - 2 : 0;
}

double MaxDescriptors() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return limit.rlim_cur == RLIM_INFINITY ? std::numeric_limits<double>::infinity()
                                         : static_cast<double>(limit.rlim_cur);
}

}  // namespace

void AddProcessMetrics(MetricPage& page) {
  constexpr size_t kUserTime = 14, kSystemTime = 15, kThreads = 20, kStartTime = 22, kVirtual = 23, kResident = 24;
  static const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  static const double boot = BootTime();
  const ProcessStat stat;
  page.Counter("process_cpu_seconds_total", "User and system CPU time spent, in seconds.")
      .Value((stat.Field(kUserTime) + stat.Field(kSystemTime)) / ticks);
  page.Gauge("process_start_time_seconds", "When the process began, in seconds since 1970.")
      .Value(boot + stat.Field(kStartTime) / ticks);
  page.Gauge("process_threads", "Threads of the process.").Value(stat.Field(kThreads));
  page.Gauge("process_open_fds", "Open file descriptors.").Value(OpenDescriptors());
  page.Gauge("process_max_fds", "How many file descriptors the process may open.").Value(MaxDescriptors());
  page.Gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.").Value(stat.Field(kVirtual));
  page.Gauge("process_resident_memory_bytes", "Resident memory size in bytes.")
      .Value(stat.Field(kResident) * static_cast<double>(sysconf(_SC_PAGESIZE)));
}

}  // namespace sluice
