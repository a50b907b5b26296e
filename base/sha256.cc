#include "base/sha256.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace sluice {
namespace {

// EVP fails only when memory is out or OpenSSL has no SHA-256: nothing can be verified then.
void AbortUnless(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  AbortUnless(context_ != nullptr);
  AbortUnless(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(absl::string_view data) {
  AbortUnless(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
}

Digest Sha256::Finish() {
  Digest::Bytes bytes;
  unsigned int size = 0;
  AbortUnless(EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1);
  AbortUnless(size == bytes.size());
  return Digest(bytes);
}

}  // namespace sluice
