#include "registry/client/http_stream.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/ip_address.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPollMilliseconds = 50;
constexpr long kReceiveBuffer = 256 * 1024;
constexpr size_t kMaxHeadBytes = 256 * 1024;
constexpr char kObstaclePayload[] = "sluice.http.obstacle";

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, FreeUrl>;

std::string UrlPart(CURLU* handle, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, 0) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

absl::StatusOr<Url> ParseInto(UrlHandle handle, absl::string_view text) {
  const std::string copy(text);
  const auto invalid = [&copy](absl::string_view cause) {
    return absl::InvalidArgumentError(absl::StrCat("URL ", copy.substr(0, copy.find('?')).substr(0, 200), ": ", cause));
  };
  if (handle == nullptr) return absl::ResourceExhaustedError("curl_url: out of memory");
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, copy.c_str(), 0);
  if (code != CURLUE_OK) return invalid(curl_url_strerror(code));
  const Url url = {UrlPart(handle.get(), CURLUPART_URL), UrlPart(handle.get(), CURLUPART_SCHEME),
                   UrlPart(handle.get(), CURLUPART_HOST)};
  if (url.scheme != "http" && url.scheme != "https") return invalid("neither http nor https");
  if (!UrlPart(handle.get(), CURLUPART_USER).empty() || !UrlPart(handle.get(), CURLUPART_PASSWORD).empty()) {
    return invalid("it has a user or password");
  }
  return url;
}

std::optional<IpAddress> AddressOf(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof(v4));
    std::array<uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
    return IpAddress::FromV4(bytes);
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof(v6));
    IpAddress::Bytes bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return IpAddress(bytes);
  }
  return std::nullopt;
}

HttpObstacle ObstacleFor(CURLcode code, const std::string& scheme) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return HttpObstacle::kRefused;
    // A server that does speak TLS but not ours will not answer http either, so nothing is lost by asking it.
    case CURLE_SSL_CONNECT_ERROR:
      return HttpObstacle::kNotTls;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return scheme == "http" ? HttpObstacle::kNotHttp : HttpObstacle::kOther;
    default:
      return HttpObstacle::kOther;
  }
}

class CurlStream : public HttpStream {
 public:
  CurlStream(const HttpRequest& request, const Cancellation* cancellation)
      : request_(request), cancellation_(cancellation), multi_(curl_multi_init()), easy_(curl_easy_init()) {}

  ~CurlStream() override {
    if (multi_ != nullptr && easy_ != nullptr) curl_multi_remove_handle(multi_, easy_);
    if (easy_ != nullptr) curl_easy_cleanup(easy_);
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
    curl_slist_free_all(headers_);
  }

  absl::Status Start() {
    if (multi_ == nullptr || easy_ == nullptr) return absl::ResourceExhaustedError("curl_easy_init: out of memory");
    for (const std::string& header : request_.headers) headers_ = curl_slist_append(headers_, header.c_str());
    SetOptions();
    curl_multi_add_handle(multi_, easy_);
    last_progress_ = Clock::now();
    while (!head_complete_ && !done_) RETURN_IF_ERROR(Pump());
    if (!head_complete_) return Error();
    char* address = nullptr;
    curl_easy_getinfo(easy_, CURLINFO_PRIMARY_IP, &address);
    const std::optional<IpAddress> peer = IpAddress::Parse(address == nullptr ? "" : address);
    // An address that can't be told is treated as the one from which less is allowed.
    peer_is_internal_ = peer.has_value() && peer->IsInternal();
    return absl::OkStatus();
  }

  int status() const override { return status_; }
  std::string Header(absl::string_view name) const override {
    const auto found = response_headers_.find(std::string(name));
    return found == response_headers_.end() ? "" : found->second;
  }
  bool PeerIsInternal() const override { return peer_is_internal_; }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (!overflow_.empty()) {
      const size_t count = std::min(buffer.size(), overflow_.size() - overflow_used_);
      std::memcpy(buffer.data(), overflow_.data() + overflow_used_, count);
      overflow_used_ += count;
      if (overflow_used_ == overflow_.size()) {
        overflow_.clear();
        overflow_used_ = 0;
      }
      return count;
    }
    target_ = buffer;
    filled_ = 0;
    last_progress_ = Clock::now();
    if (paused_) {
      paused_ = false;
      // Delivers at once what was refused before.
      curl_easy_pause(easy_, CURLPAUSE_CONT);
    }
    absl::Status status;
    while (filled_ == 0 && !done_ && status.ok()) status = Pump();
    target_ = {};
    RETURN_IF_ERROR(status);
    if (filled_ == 0 && result_ != CURLE_OK) return Error();
    return filled_;
  }

 private:
  template <typename T>
  void Set(CURLoption option, T value) {
    curl_easy_setopt(easy_, option, value);
  }

  void SetOptions() {
    Set(CURLOPT_URL, request_.url.text.c_str());
    Set(CURLOPT_PROTOCOLS_STR, "http,https");
    Set(CURLOPT_FOLLOWLOCATION, 0L);
    Set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    Set(CURLOPT_USERAGENT, "sluice");
    Set(CURLOPT_HTTPHEADER, headers_);
    Set(CURLOPT_NOSIGNAL, 1L);
    // Leaving must not wait for a name server.
    Set(CURLOPT_QUICK_EXIT, 1L);
    Set(CURLOPT_BUFFERSIZE, kReceiveBuffer);
    Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.connect_timeout.count()));
    Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    Set(CURLOPT_SSL_VERIFYPEER, request_.verify_tls ? 1L : 0L);
    Set(CURLOPT_SSL_VERIFYHOST, request_.verify_tls ? 2L : 0L);
    if (!request_.use_proxy) Set(CURLOPT_PROXY, "");
    Set(CURLOPT_ERRORBUFFER, error_text_.data());
    Set(CURLOPT_HEADERFUNCTION, &OnHeader);
    Set(CURLOPT_HEADERDATA, this);
    Set(CURLOPT_WRITEFUNCTION, &OnBody);
    Set(CURLOPT_WRITEDATA, this);
    Set(CURLOPT_OPENSOCKETFUNCTION, &OnOpenSocket);
    Set(CURLOPT_OPENSOCKETDATA, this);
  }

  // One turn of libcurl's wheel, waiting a little when there is nothing to do.
  absl::Status Pump() {
    if (cancellation_ != nullptr) RETURN_IF_ERROR(cancellation_->Check());
    int running = 0;
    curl_multi_perform(multi_, &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      done_ = true;
      result_ = message->data.result;
    }
    if (done_ || filled_ > 0 || (head_complete_ && target_.empty())) return absl::OkStatus();
    if (Clock::now() - last_progress_ > request_.stall_timeout) {
      return absl::UnavailableError(
          absl::StrCat("no answer for ",
                       std::chrono::duration_cast<std::chrono::milliseconds>(request_.stall_timeout).count(), " ms"));
    }
    curl_multi_poll(multi_, nullptr, 0, kPollMilliseconds, nullptr);
    return absl::OkStatus();
  }

  absl::Status Error() const {
    if (!refusal_.empty()) return absl::PermissionDeniedError(refusal_);
    std::string text(absl::StripAsciiWhitespace(error_text_.data()));
    if (text.empty()) text = curl_easy_strerror(result_);
    long os_error = 0;
    curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &os_error);
    if (result_ == CURLE_COULDNT_CONNECT && os_error != 0) text = std::strerror(static_cast<int>(os_error));
    absl::Status status = absl::UnavailableError(text);
    const auto obstacle = static_cast<char>(ObstacleFor(result_, request_.url.scheme));
    status.SetPayload(kObstaclePayload, absl::Cord(absl::string_view(&obstacle, 1)));
    return status;
  }

  // libcurl's callbacks: C code in between, so nothing may throw through them.

  static size_t OnHeader(char* data, size_t size, size_t count, void* self) noexcept {
    return static_cast<CurlStream*>(self)->TakeHeader(absl::string_view(data, size * count)) ? size * count : 0;
  }

  bool TakeHeader(absl::string_view line) {
    last_progress_ = Clock::now();
    head_bytes_ += line.size();
    if (head_bytes_ > kMaxHeadBytes) {
      refusal_ = "the head of the answer is too large";
      return false;
    }
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "HTTP/")) {
      response_headers_.clear();
      return true;
    }
    if (line.empty()) {
      long code = 0;
      curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &code);
      status_ = static_cast<int>(code);
      // 1xx announces another head; so does a proxy's own answer to CONNECT, which libcurl does not count here.
      head_complete_ = code >= 200;
      return true;
    }
    const size_t colon = line.find(':');
    if (colon == line.npos) return true;
    response_headers_[absl::AsciiStrToLower(line.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    return true;
  }

  static size_t OnBody(char* data, size_t size, size_t count, void* self) noexcept {
    return static_cast<CurlStream*>(self)->TakeBody(absl::string_view(data, size * count));
  }

  // As much as fits goes straight to the reader; what is left of one delivery is kept, the next one has to wait.
  size_t TakeBody(absl::string_view data) {
    last_progress_ = Clock::now();
    if (filled_ == target_.size()) {
      paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    const size_t direct = std::min(data.size(), target_.size() - filled_);
    std::memcpy(target_.data() + filled_, data.data(), direct);
    filled_ += direct;
    overflow_.append(data.data() + direct, data.size() - direct);
    return data.size();
  }

  static curl_socket_t OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address) noexcept {
    if (!static_cast<CurlStream*>(self)->Allows(address->addr)) return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  bool Allows(const sockaddr& address) {
    const std::optional<IpAddress> ip = AddressOf(address);
    if (!ip.has_value()) return true;
    if (ip->IsMetadata()) {
      refusal_ = "its address is the cloud's metadata service, which is never asked";
    } else if (!request_.allow_internal && ip->IsInternal()) {
      refusal_ = "a redirect from a public address to an internal one";
    } else {
      return true;
    }
    return false;
  }

  const HttpRequest request_;
  const Cancellation* const cancellation_;
  CURLM* const multi_;
  CURL* const easy_;
  curl_slist* headers_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_text_ = {};

  int status_ = 0;
  std::map<std::string, std::string> response_headers_;
  size_t head_bytes_ = 0;
  bool head_complete_ = false;
  bool peer_is_internal_ = false;
  std::string refusal_;

  bool done_ = false;
  CURLcode result_ = CURLE_OK;
  bool paused_ = false;
  absl::Span<char> target_;  // of the Read() that runs
  size_t filled_ = 0;
  std::string overflow_;
  size_t overflow_used_ = 0;
  Clock::time_point last_progress_;
};

}  // namespace

std::string Url::ForMessages() const { return text.substr(0, text.find('?')); }

absl::StatusOr<Url> ParseUrl(absl::string_view text) { return ParseInto(UrlHandle(curl_url()), text); }

absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view location) {
  UrlHandle handle(curl_url());
  if (handle != nullptr) curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), 0);
  return ParseInto(std::move(handle), location);
}

HttpObstacle ObstacleOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kObstaclePayload);
  if (!payload.has_value() || payload->empty()) return HttpObstacle::kOther;
  return static_cast<HttpObstacle>((*payload)[0]);
}

absl::StatusOr<std::unique_ptr<HttpStream>> HttpStream::Open(const HttpRequest& request,
                                                             const Cancellation* cancellation) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised != CURLE_OK) return absl::InternalError("curl_global_init failed");
  auto stream = std::make_unique<CurlStream>(request, cancellation);
  const absl::Status status = stream->Start();
  if (!status.ok()) return Annotate(status, absl::StrCat("GET ", request.url.ForMessages()));
  return std::unique_ptr<HttpStream>(std::move(stream));
}

}  // namespace sluice
