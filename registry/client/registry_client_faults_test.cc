// Everything that goes wrong between a registry and us, one row each: who was asked, how often and for which bytes, how
// long was waited, how much came, and what the user reads.
#include <stdlib.h>

#include <cstdio>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "gtest/gtest.h"
#include "registry/client/credential_source.h"
#include "registry/client/fake_retry_clock.h"
#include "registry/client/fault_cases.h"
#include "registry/client/fault_server.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::TempDir;

class OneLogin : public CredentialSource {
 public:
  absl::StatusOr<std::optional<Credentials>> Find(absl::string_view, absl::string_view,
                                                  const Cancellation*) const override {
    Credentials credentials;
    credentials.username = "user";
    credentials.password = "password";
    credentials.source = "the test";
    return credentials;
  }
};

// What came of a case.
struct Row {
  std::string requests;
  std::string waits;
  int64_t bytes = 0;
  std::string outcome;
};

class FaultRun {
 public:
  FaultRun(const FaultCase& fault, const TlsIdentity& identity)
      : fault_(fault),
        registry_("127.0.0.1", blob_, fault.tls ? &identity : nullptr),
        storage_("127.0.0.2", blob_),
        issuer_("127.0.0.1", blob_) {
    Script(registry_, "R", fault.registry);
    Script(storage_, "S", fault.storage);
    Script(issuer_, "T", fault.issuer);
  }

  Row Run() {
    RegistryClientOptions options;
    if (fault_.stalls) options.stall_timeout = std::chrono::milliseconds(500);
    options.clock = clock_;
    if (fault_.credentials) options.credentials = std::make_shared<OneLogin>();
    if (fault_.allow_plain) options.plain_http_credentials = {"127.0.0.1"};
    const RegistryClient client(LocalityRules::Create({}).value(), options);
    Row row;
    row.outcome = Shortened(Fetch(client));
    MutexLock lock(mutex_);
    row.requests = absl::StrJoin(log_, " | ");
    row.waits = absl::StrJoin(clock_->waits(), " ", [](std::string* out, std::chrono::milliseconds wait) {
      absl::StrAppend(out, static_cast<double>(wait.count()) / 1000);
    });
    for (const FaultServer* server : {&registry_, &storage_, &issuer_}) {
      for (const SeenRequest& request : server->requests()) row.bytes += request.body_bytes;
    }
    return row;
  }

 private:
  std::string Fetch(const RegistryClient& client) {
    BlobRequest request = {.digest = digest_, .offset = fault_.offset};
    if (fault_.size_known) request.size = kFaultBlobBytes;
    const absl::StatusOr<std::unique_ptr<ByteReader>> reader =
        client.OpenBlob(registry_.host(), "app", request, nullptr);
    if (!reader.ok()) return Show(reader.status());
    std::string read;
    std::vector<char> buffer(fault_.buffer);
    while (true) {
      const absl::StatusOr<size_t> count = (*reader)->Read(absl::MakeSpan(buffer));
      if (!count.ok()) return Show(count.status());
      if (*count == 0) break;
      read.append(buffer.data(), *count);
    }
    return read == blob_.substr(static_cast<size_t>(fault_.offset)) ? "OK" : "OK, with another digest";
  }

  static std::string Show(const absl::Status& status) {
    return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
  }

  std::string Shortened(const std::string& text) const {
    return absl::StrReplaceAll(text, {{registry_.host(), "{R}"},
                                      {storage_.host(), "{S}"},
                                      {issuer_.host(), "{T}"},
                                      {absl::StrCat("/v2/app/blobs/", digest_.ToString()), "{blob}"}});
  }

  void Script(FaultServer& server, const std::string& letter, std::vector<Reply> replies) {
    for (Reply& reply : replies) {
      for (std::string& header : reply.headers) {
        header =
            absl::StrReplaceAll(header, {{"{R}", registry_.host()}, {"{S}", storage_.host()}, {"{T}", issuer_.host()}});
      }
    }
    server.Script(std::move(replies));
    server.OnRequest([this, letter](const SeenRequest& request) {
      std::string entry = absl::StrCat(letter, request.connection);
      const std::string target = request.line.substr(0, request.line.rfind(' '));
      if (const size_t query = target.find('?'); query != std::string::npos) entry += target.substr(query);
      if (!request.range.empty()) absl::StrAppend(&entry, " ", request.range);
      if (absl::StartsWith(request.authorization, "Bearer ")) entry += " +" + request.authorization.substr(7);
      if (absl::StartsWith(request.authorization, "Basic ")) entry += " +basic";
      if (!request.form.empty()) entry += " +form";
      MutexLock lock(mutex_);
      log_.push_back(entry);
    });
  }

  const FaultCase& fault_;
  const std::string blob_ = FaultBlob();
  const Digest digest_ = Digest::Of(blob_);
  const std::shared_ptr<FakeRetryClock> clock_ = std::make_shared<FakeRetryClock>();
  Mutex mutex_;
  std::vector<std::string> log_ SLUICE_GUARDED_BY(mutex_);
  FaultServer registry_;
  FaultServer storage_;
  FaultServer issuer_;
};

// A '*' stands for what depends on time.
bool Matches(const std::string& text, const std::string& pattern) {
  if (!absl::StrContains(pattern, '*')) return text == pattern;
  const std::string quoted = std::regex_replace(pattern, std::regex(R"([.^$|()\[\]{}+?\\])"), R"(\$&)");
  return std::regex_match(text, std::regex(absl::StrReplaceAll(quoted, {{"*", ".*"}})));
}

class FaultTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    identity_ = {dir_.At("cert.pem"), dir_.At("key.pem")};
    const std::string command =
        absl::StrCat("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=nobody -keyout ", identity_.key_file,
                     " -out ", identity_.certificate_file, " 2>/dev/null");
    ASSERT_EQ(std::system(command.c_str()), 0);
  }

  void Check(const char* group, const std::vector<FaultCase>& cases) {
    absl::PrintF("\n%s\n", group);
    for (const FaultCase& fault : cases) {
      FaultRun run(fault, identity_);
      const Row row = run.Run();
      absl::PrintF("  %-50s %s\n", fault.name, row.requests);
      absl::PrintF("  %50s waited [%s], %d bytes: %s\n", "", row.waits, row.bytes, row.outcome);
      EXPECT_TRUE(Matches(row.requests, fault.requests))
          << fault.name << "\n  got  " << row.requests << "\n  want " << fault.requests;
      EXPECT_EQ(row.waits, fault.waits) << fault.name;
      EXPECT_EQ(row.bytes, fault.bytes.value_or(row.bytes)) << fault.name;
      EXPECT_TRUE(Matches(row.outcome, fault.outcome))
          << fault.name << "\n  got  " << row.outcome << "\n  want " << fault.outcome;
    }
  }

  TempDir dir_;
  TlsIdentity identity_;
};

TEST_F(FaultTableTest, WhatCanSucceedSucceeds) {
  Check("Connections that break", BreakCases());
  Check("Ranges", RangeCases());
  Check("Redirects", RedirectCases());
  Check("Statuses", StatusCases());
  Check("Authorization", AuthorizationCases());
  Check("Bodies", BodyCases());
}

}  // namespace
}  // namespace sluice
