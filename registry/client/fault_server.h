// An HTTP server that serves one blob and fails as it is told, request by request: registry, storage or token server.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"

namespace sluice {

// How a connection ends.
enum class Ending {
  kKeepAlive,  // it does not: the next request may come over it
  kClose,
  kReset,
  kHang,  // nothing more comes, until the client leaves
};

// How one request is answered. The default is the blob, or the range of it that was asked for.
struct Reply {
  static Reply Blob() { return {}; }
  static Reply Status(int status, const std::string& body = "");
  static Reply Redirect(const std::string& location, int status = 307);

  // Each returns itself, changed.
  Reply Header(const std::string& header) const;              // "Name: value"
  Reply CutHead(int64_t bytes, Ending ending) const;          // after so many bytes of the head
  Reply Cut(int64_t bytes, Ending ending) const;              // after so many bytes of the body
  Reply End(Ending ending) const;                             // after the whole of it
  Reply Chunked() const;                                      // if it is cut, without the last chunk
  Reply Unframed() const;                                     // neither length nor chunks
  Reply Http10() const;                                       // says HTTP/1.0
  Reply IgnoringRanges() const;                               // the whole blob, status 200
  Reply SayingRange(const std::string& content_range) const;  // whatever is sent
  Reply Body(const std::string& body) const;                  // in place of the blob
  Reply After(const std::string& preface) const;              // sent before the head: 1xx
  Reply Dripping(std::chrono::milliseconds between) const;    // byte by byte

  std::optional<int> status;  // of a fixed answer
  std::vector<std::string> headers;
  std::optional<std::string> body;
  std::string preface;
  std::optional<std::string> content_range;
  std::optional<int64_t> cut_head;
  std::optional<int64_t> cut;
  Ending ending = Ending::kKeepAlive;
  bool chunked = false;
  bool unframed = false;
  bool http10 = false;
  bool ignore_range = false;
  std::chrono::milliseconds drip{0};
};

struct SeenRequest {
  std::string line;                 // "GET /v2/… HTTP/1.1"
  std::string head;                 // all of it, up to the empty line
  std::string form;                 // of a POST
  std::string range;                // "500-999", "" without one
  std::string authorization;        // the header's value
  bool client_certificate = false;  // was one shown?
  int connection = 0;               // by number, from 1
  int64_t body_bytes = 0;           // of the answer, as far as the server means to send it
};

struct TlsIdentity {
  std::string certificate_file;
  std::string key_file;
};

// Thread-safe. One thread a connection.
class FaultServer {
 public:
  // Listens on a free port of `address`. With a `tls` it speaks TLS alone.
  FaultServer(const std::string& address, std::string blob, const TlsIdentity* tls = nullptr);
  ~FaultServer();
  FaultServer(const FaultServer&) = delete;
  FaultServer& operator=(const FaultServer&) = delete;

  // "127.0.0.1:40123"
  const std::string& host() const { return host_; }
  // The answers in their order; the last one is repeated.
  void Script(std::vector<Reply> replies);
  // Called with each request before it is answered; may write the script.
  void OnRequest(std::function<void(const SeenRequest&)> observer);
  // Those that were understood, in the order in which they came.
  std::vector<SeenRequest> requests() const;

 private:
  class Connection;

  void Accept();
  void Serve(int fd, int number);
  // False when the connection is at its end.
  bool AnswerOne(Connection& connection, int number);
  bool Send(Connection& connection, const Reply& reply, const std::string& range, size_t index);

  const std::string blob_;
  std::shared_ptr<void> tls_context_;  // SSL_CTX
  UniqueFd listener_;
  std::string host_;
  mutable Mutex mutex_;
  std::vector<Reply> replies_ SLUICE_GUARDED_BY(mutex_);
  size_t next_ SLUICE_GUARDED_BY(mutex_) = 0;
  std::function<void(const SeenRequest&)> observer_ SLUICE_GUARDED_BY(mutex_);
  std::vector<SeenRequest> requests_ SLUICE_GUARDED_BY(mutex_);
  std::vector<UniqueFd> connections_ SLUICE_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;  // of the accepting thread's own
  std::thread acceptor_;
};

}  // namespace sluice
