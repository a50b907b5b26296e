#include "registry/client/http_stream.h"

#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "registry/client/http_obstacle.h"
#include "registry/ip_address.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kPollMilliseconds = 50;
constexpr long kReceiveBuffer = 256 * 1024;
constexpr size_t kMinProgressBytes = 4096;
constexpr long kMaxConnectionsKept = 4;
const std::string kUserAgent = absl::StrCat("sluice/", kVersion);

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, FreeUrl>;

std::string UrlPart(CURLU* handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

// A foreign URL as it may stand in an error: without query, user and password, and short.
std::string Presentable(absl::string_view text) {
  text = text.substr(0, text.find_first_of("?#"));
  const size_t scheme_end = text.find("://");
  const size_t authority = scheme_end == text.npos ? 0 : scheme_end + 3;
  const size_t at = text.substr(0, text.find('/', authority)).rfind('@');
  const absl::string_view rest = text.substr(at == text.npos ? authority : at + 1);
  return absl::CHexEscape(absl::StrCat(text.substr(0, authority), rest).substr(0, 200));
}

absl::StatusOr<Url> ParseInto(UrlHandle handle, absl::string_view text) {
  const std::string copy(text);
  const auto invalid = [&copy](absl::string_view cause) {
    return absl::InvalidArgumentError(absl::StrCat("URL ", Presentable(copy), ": ", cause));
  };
  if (handle == nullptr) return absl::ResourceExhaustedError("curl_url: out of memory");
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, copy.c_str(), 0);
  if (code != CURLUE_OK) return invalid(curl_url_strerror(code));
  Url url = {UrlPart(handle.get(), CURLUPART_URL), UrlPart(handle.get(), CURLUPART_SCHEME),
             UrlPart(handle.get(), CURLUPART_HOST), ""};
  if (url.scheme != "http" && url.scheme != "https") return invalid("neither http nor https");
  if (!UrlPart(handle.get(), CURLUPART_USER).empty() || !UrlPart(handle.get(), CURLUPART_PASSWORD).empty()) {
    return invalid("it has a user or password");
  }
  url.origin = absl::StrCat(url.scheme, "://", absl::AsciiStrToLower(url.host), ":",
                            UrlPart(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT));
  return url;
}

HttpObstacle ObstacleFor(CURLcode code, const std::string& scheme, bool has_answered) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return HttpObstacle::kRefused;
    // A server that does speak TLS but not ours will not answer http either, so nothing is lost by asking it.
    case CURLE_SSL_CONNECT_ERROR:
      return HttpObstacle::kNotTls;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return scheme == "http" ? HttpObstacle::kNotHttp : HttpObstacle::kOther;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return has_answered ? HttpObstacle::kInterrupted : HttpObstacle::kNoAnswer;
    default:
      return HttpObstacle::kOther;
  }
}

// A multi handle, for the sake of the connections that it keeps.
struct CurlConnections : ConnectionPool::Connections {
  ~CurlConnections() override { curl_multi_cleanup(multi); }
  CURLM* const multi = curl_multi_init();
};

class CurlStream : public HttpStream {
 public:
  CurlStream(const HttpRequest& request, ConnectionPool::Lease lease, const Cancellation* cancellation)
      : request_(request), cancellation_(cancellation), lease_(std::move(lease)), easy_(curl_easy_init()) {
    if (lease_.connections() == nullptr) lease_.connections() = std::make_unique<CurlConnections>();
    multi_ = static_cast<CurlConnections&>(*lease_.connections()).multi;
  }

  ~CurlStream() override {
    if (multi_ != nullptr && easy_ != nullptr) curl_multi_remove_handle(multi_, easy_);
    if (easy_ != nullptr) curl_easy_cleanup(easy_);
    curl_slist_free_all(headers_);
  }

  absl::Status Start() {
    if (multi_ == nullptr || easy_ == nullptr) return absl::ResourceExhaustedError("curl_easy_init: out of memory");
    for (const auto* list : {&request_.headers, &request_.secret_headers}) {
      for (const std::string& header : *list) headers_ = curl_slist_append(headers_, header.c_str());
    }
    SetOptions();
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kMaxConnectionsKept);
    curl_multi_add_handle(multi_, easy_);
    while (!head_complete_ && !done_) RETURN_IF_ERROR(Pump());
    if (!head_complete_) return Error();
    char* address = nullptr;
    curl_easy_getinfo(easy_, CURLINFO_PRIMARY_IP, &address);
    const std::optional<IpAddress> peer = IpAddress::Parse(address == nullptr ? "" : address);
    // An address that can't be told is treated as the one from which less is allowed.
    peer_is_internal_ = peer.has_value() && peer->IsInternal();
    return absl::OkStatus();
  }

  const Url& url() const override { return request_.url; }
  int status() const override { return status_; }
  const HttpHead& head() const override { return head_; }
  bool PeerIsInternal() const override { return peer_is_internal_; }

  std::optional<int64_t> ContentLength() const override {
    curl_off_t length = -1;
    curl_easy_getinfo(easy_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length < 0 ? std::nullopt : std::optional<int64_t>(length);
  }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (!overflow_.empty()) return TakeOverflow(buffer);
    absl::Status status;
    StartReading(buffer);
    while (filled_ == 0 && !done_ && status.ok()) status = Pump();
    target_ = {};
    RETURN_IF_ERROR(status);
    if (filled_ == 0 && result_ != CURLE_OK) return Error();
    return filled_;
  }

  Rest Drain(size_t max_bytes, milliseconds patience, std::string* into) override {
    const Clock::time_point deadline = Clock::now() + patience;
    size_t drained = 0;
    const auto take = [&](absl::string_view bytes) {
      drained += bytes.size();
      if (into != nullptr) absl::StrAppend(into, bytes);
    };
    std::array<char, 16 * 1024> buffer;
    take(absl::string_view(overflow_).substr(overflow_used_));
    while (!done_ && drained <= max_bytes) {
      overflow_.clear();
      StartReading(absl::MakeSpan(buffer));
      const absl::Status status = Pump();
      target_ = {};
      take(absl::string_view(buffer.data(), filled_));
      take(overflow_);
      if (!status.ok() || Clock::now() > deadline) break;
    }
    if (drained > 0) return Rest::kSome;
    return done_ && result_ == CURLE_OK ? Rest::kNone : Rest::kUnknown;
  }

  std::string Name() const {
    return absl::StrCat(request_.form.has_value() ? "POST " : "GET ", request_.url.ForMessages());
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
    Set(CURLOPT_USERAGENT, kUserAgent.c_str());
    Set(CURLOPT_HTTPHEADER, headers_);
    if (request_.form.has_value()) {
      Set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request_.form->size()));
      Set(CURLOPT_POSTFIELDS, request_.form->c_str());
    }
    Set(CURLOPT_NOSIGNAL, 1L);
    // Leaving must not wait for a name server.
    Set(CURLOPT_QUICK_EXIT, 1L);
    Set(CURLOPT_BUFFERSIZE, kReceiveBuffer);
    Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.connect_timeout.count()));
    Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    SetTls();
    if (!request_.use_proxy) Set(CURLOPT_PROXY, "");
    Set(CURLOPT_ERRORBUFFER, error_text_.data());
    Set(CURLOPT_HEADERFUNCTION, &OnHeader);
    Set(CURLOPT_HEADERDATA, this);
    Set(CURLOPT_WRITEFUNCTION, &OnBody);
    Set(CURLOPT_WRITEDATA, this);
    Set(CURLOPT_OPENSOCKETFUNCTION, &OnOpenSocket);
    Set(CURLOPT_OPENSOCKETDATA, this);
  }

  void SetTls() {
    const TlsOptions& tls = request_.tls;
    Set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    Set(CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
    Set(CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
    if (!tls.extra_ca_pem.empty()) {
      // Takes the place of the system's file of certificates; its directory of them stays.
      curl_blob blob = {const_cast<char*>(tls.extra_ca_pem.data()), tls.extra_ca_pem.size(), CURL_BLOB_COPY};
      Set(CURLOPT_CAINFO_BLOB, &blob);
    }
    if (tls.certificate_file.empty()) return;
    Set(CURLOPT_SSLCERT, tls.certificate_file.c_str());
    Set(CURLOPT_SSLKEY, (tls.key_file.empty() ? tls.certificate_file : tls.key_file).c_str());
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
    if (waited_ > request_.stall_timeout) {
      const int64_t timeout = std::chrono::duration_cast<milliseconds>(request_.stall_timeout).count();
      return NetworkError(HttpObstacle::kStalled,
                          progress_bytes_ == 0 ? absl::StrCat("no answer for ", timeout, " ms")
                                               : absl::StrCat("only ", progress_bytes_, " bytes in ", timeout, " ms"));
    }
    const Clock::time_point start = Clock::now();
    curl_multi_poll(multi_, nullptr, 0, kPollMilliseconds, nullptr);
    waited_ += Clock::now() - start;
    return absl::OkStatus();
  }

  // Only the time that is spent waiting counts: a slow reader is nobody's stall.
  void NoteProgress(size_t bytes) {
    progress_bytes_ += bytes;
    if (progress_bytes_ < kMinProgressBytes) return;
    progress_bytes_ = 0;
    waited_ = Clock::duration::zero();
  }

  absl::Status Error() const {
    if (!refusal_.empty()) return absl::PermissionDeniedError(refusal_);
    std::string text(absl::StripAsciiWhitespace(error_text_.data()));
    if (text.empty()) text = curl_easy_strerror(result_);
    // libcurl doesn't mind.
    if (result_ == CURLE_OK) return NetworkError(HttpObstacle::kInterrupted, "the answer ends within its head");
    long os_error = 0;
    curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &os_error);
    if (result_ == CURLE_COULDNT_CONNECT && os_error != 0) text = std::strerror(static_cast<int>(os_error));
    return NetworkError(ObstacleFor(result_, request_.url.scheme, has_answered_), text);
  }

  void StartReading(absl::Span<char> buffer) {
    target_ = buffer;
    filled_ = 0;
    if (!paused_) return;
    paused_ = false;
    // Delivers at once what was refused before.
    curl_easy_pause(easy_, CURLPAUSE_CONT);
  }

  size_t TakeOverflow(absl::Span<char> buffer) {
    const size_t count = std::min(buffer.size(), overflow_.size() - overflow_used_);
    std::memcpy(buffer.data(), overflow_.data() + overflow_used_, count);
    overflow_used_ += count;
    if (overflow_used_ == overflow_.size()) {
      overflow_.clear();
      overflow_used_ = 0;
    }
    return count;
  }

  // libcurl's callbacks: C code in between, so nothing may throw through them.

  static size_t OnHeader(char* data, size_t size, size_t count, void* self) noexcept {
    return static_cast<CurlStream*>(self)->TakeHeader(absl::string_view(data, size * count)) ? size * count : 0;
  }

  bool TakeHeader(absl::string_view line) {
    NoteProgress(line.size());
    has_answered_ = true;
    if (!head_.Add(line)) {
      refusal_ = "the head of the answer is too large";
      return false;
    }
    if (!absl::StripAsciiWhitespace(line).empty() || head_complete_) return true;
    long code = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &code);
    status_ = static_cast<int>(code);
    // 1xx announces another head; so does a proxy's own answer to CONNECT, which libcurl does not count here.
    head_complete_ = code >= 200;
    if (head_complete_) NoteProgress(kMinProgressBytes);
    return true;
  }

  static size_t OnBody(char* data, size_t size, size_t count, void* self) noexcept {
    return static_cast<CurlStream*>(self)->TakeBody(absl::string_view(data, size * count));
  }

  // As much as fits goes straight to the reader; what is left of one delivery is kept, the next one has to wait.
  size_t TakeBody(absl::string_view data) {
    if (filled_ == target_.size()) {
      paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    NoteProgress(data.size());
    const size_t direct = std::min(data.size(), target_.size() - filled_);
    std::memcpy(target_.data() + filled_, data.data(), direct);
    filled_ += direct;
    overflow_.append(data.data() + direct, data.size() - direct);
    return data.size();
  }

  static curl_socket_t OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address) noexcept {
    CurlStream& stream = *static_cast<CurlStream*>(self);
    const absl::string_view refusal = RefusalOf(address->addr, stream.request_.reach);
    if (!refusal.empty()) {
      stream.refusal_ = std::string(refusal);
      return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  const HttpRequest request_;
  const Cancellation* const cancellation_;
  ConnectionPool::Lease lease_;  // before what uses its connections
  CURLM* multi_ = nullptr;
  CURL* const easy_;
  curl_slist* headers_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_text_ = {};

  int status_ = 0;
  HttpHead head_;
  bool has_answered_ = false;
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
  Clock::duration waited_ = Clock::duration::zero();  // since the last progress
  size_t progress_bytes_ = 0;                         // what has come since then
};

}  // namespace

std::string Url::ForMessages() const { return Presentable(text); }

absl::StatusOr<Url> ParseUrl(absl::string_view text) { return ParseInto(UrlHandle(curl_url()), text); }

absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view location) {
  UrlHandle handle(curl_url());
  if (handle != nullptr) curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), 0);
  return ParseInto(std::move(handle), location);
}

absl::StatusOr<std::unique_ptr<HttpStream>> HttpStream::Open(const HttpRequest& request,
                                                             const std::shared_ptr<ConnectionPool>& pool,
                                                             const Cancellation* cancellation) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised != CURLE_OK) return absl::InternalError("curl_global_init failed");
  ASSIGN_OR_RETURN(ConnectionPool::Lease lease, pool->Acquire(request.url.origin, request.reach, cancellation));
  auto stream = std::make_unique<CurlStream>(request, std::move(lease), cancellation);
  const absl::Status status = stream->Start();
  if (!status.ok()) return Annotate(status, stream->Name());
  return std::unique_ptr<HttpStream>(std::move(stream));
}

}  // namespace sluice
