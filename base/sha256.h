// SHA-256 by OpenSSL's EVP, which uses the processor's SHA instructions where it has them.
#pragma once

#include <memory>

#include "absl/strings/string_view.h"
#include "base/digest.h"

struct evp_md_ctx_st;

namespace sluice {

// One thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(absl::string_view data);
  // The digest of all that was given. REQUIRES: called once, last.
  Digest Finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace sluice
