#include "cmd/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/errno_status.h"

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kRedraw(100);
constexpr char kClearLine[] = "\r\x1b[K";

int Columns(int fd) {
  winsize size = {};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string FormatBytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  // 999.95 would print as 1000.0.
  for (; value >= 999.95 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

absl::Status PrintResult(absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", "stdout");
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status PrintJson(const Json& document) {
  // What comes from outside was UTF-8 when it was parsed; a path on the command line may be anything.
  return PrintResult(document.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n");
}

bool StderrIsTerminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && kind != nullptr && std::strcmp(kind, "dumb") != 0;
}

ProgressBar::ProgressBar(int64_t total_bytes) : total_(total_bytes) {}

ProgressBar::~ProgressBar() {
  if (drawn_at_ != Clock::time_point()) std::fputs(kClearLine, stderr);
}

void ProgressBar::Add(int64_t bytes) {
  done_ += bytes;
  const Clock::time_point now = Clock::now();
  const int percent = static_cast<int>(Part() * 100);
  // What has just been drawn may be all there is for a while.
  if (now - drawn_at_ < kRedraw && percent == drawn_percent_) return;
  drawn_at_ = now;
  drawn_percent_ = percent;
  Draw(now);
}

double ProgressBar::Part() const {
  return total_ > 0 ? std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)) : 1.0;
}

void ProgressBar::Draw(Clock::time_point now) const {
  const double part = Part();
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const int64_t rate = seconds > 0 ? static_cast<int64_t>(static_cast<double>(done_) / seconds) : 0;
  const std::string text = absl::StrFormat(" %3.0f%%  %s of %s  %s/s", part * 100, FormatBytes(done_),
                                           FormatBytes(total_), FormatBytes(rate));
  const int width = std::min(40, Columns(STDERR_FILENO) - static_cast<int>(text.size()) - 3);
  std::string bar;
  if (width > 0) {
    const int full = static_cast<int>(part * width);
    bar = absl::StrCat("[", std::string(full, '='), std::string(width - full, ' '), "]");
  }
  std::fprintf(stderr, "%s%s%s", kClearLine, bar.c_str(), text.c_str());
}

}  // namespace sluice
