// What goes wrong between a registry and us, and what then is to happen: the table of registry_client_faults_test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/client/fault_server.h"

namespace sluice {

// The blob of all cases.
inline constexpr int64_t kFaultBlobBytes = 100'000;
std::string FaultBlob();

// The servers by letter: R the registry, S a storage on another host, T a token server on the registry's host. In texts
// below, {R}, {S} and {T} stand for their host:port, {blob} for the path of the blob.
struct FaultCase {
  const char* name;
  std::vector<Reply> registry;
  std::vector<Reply> storage = {};
  std::vector<Reply> issuer = {};
  // What is asked for.
  bool size_known = true;
  int64_t offset = 0;
  size_t buffer = 10'000;  // bytes that are read at a time
  // How.
  bool stalls = false;       // half a second without an answer is a stall
  bool tls = false;          // the registry speaks TLS
  bool credentials = false;  // there are some for the registry
  bool allow_plain = true;   // it is in plain_http_credentials

  // Every request in its order: server, number of its connection, "?query" if there is one, range, "+token" or "+basic"
  // or "+form".
  const char* requests;
  const char* waits = "";                          // between attempts, seconds
  std::optional<int64_t> bytes = kFaultBlobBytes;  // of bodies; unset where that depends on time
  const char* outcome = "OK";                      // status and message, as the user reads them
};

// fault_cases_transfer.cc
std::vector<FaultCase> BreakCases();
std::vector<FaultCase> RangeCases();
std::vector<FaultCase> BodyCases();
// fault_cases_answers.cc
std::vector<FaultCase> RedirectCases();
std::vector<FaultCase> StatusCases();
std::vector<FaultCase> AuthorizationCases();

}  // namespace sluice
