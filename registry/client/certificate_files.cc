#include "registry/client/certificate_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/client/config_file.h"

namespace sluice {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{4} << 20;

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

// OpenSSL's own one would ask at the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

// The first one of `pem`; null if there is none. OpenSSL leaves its cause in a queue of the thread, where curl would
// find it.
Certificate ReadCertificate(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return certificate;
}

PrivateKey ReadPrivateKey(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return key;
}

absl::Status Invalid(const std::string& path, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", cause));
}

}  // namespace

absl::Status CheckCaFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadConfigFile(path, kMaxFileBytes));
  return ReadCertificate(pem) != nullptr ? absl::OkStatus() : Invalid(path, "no PEM certificate in it");
}

absl::Status CheckClientCertificate(const std::string& certificate, const std::string& key) {
  ASSIGN_OR_RETURN(const std::string certificate_pem, ReadConfigFile(certificate, kMaxFileBytes));
  std::string key_pem;
  if (!key.empty()) {
    ASSIGN_OR_RETURN(key_pem, ReadConfigFile(key, kMaxFileBytes));
  }
  const std::string& key_path = key.empty() ? certificate : key;
  const Certificate read_certificate = ReadCertificate(certificate_pem);
  if (read_certificate == nullptr) return Invalid(certificate, "no PEM certificate in it");
  const PrivateKey read_key = ReadPrivateKey(key.empty() ? certificate_pem : key_pem);
  if (read_key == nullptr) return Invalid(key_path, "no PEM private key without a passphrase in it");
  const bool belong = X509_check_private_key(read_certificate.get(), read_key.get()) == 1;
  ERR_clear_error();
  return belong ? absl::OkStatus() : Invalid(key_path, absl::StrCat("not the private key of ", certificate));
}

}  // namespace sluice
