// The client against Debian's docker-registry where something has to be shown or believed: certificates, passwords,
// tokens; and as a mirror.
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "gtest/gtest.h"
#include "registry/client/credential_source.h"
#include "registry/client/docker_credentials.h"
#include "registry/client/fake_retry_clock.h"
#include "registry/client/fault_server.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"
#include "registry/reference.h"
#include "tests/testing/docker_registry.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::DockerRegistry;
using ::sluice::testing::OciLayoutBuilder;
using ::sluice::testing::StatusIs;
using ::sluice::testing::TarBuilder;
using ::sluice::testing::TempDir;

constexpr char kPassword[] = "open sesame";
// htpasswd -B, of the same.
constexpr char kPasswordHash[] = "$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";

class Login : public CredentialSource {
 public:
  explicit Login(const std::string& password) : password_(password) {}
  absl::StatusOr<std::optional<Credentials>> Find(absl::string_view, absl::string_view,
                                                  const Cancellation*) const override {
    Credentials credentials;
    credentials.username = "ali";
    credentials.password = password_;
    credentials.source = "the test";
    return credentials;
  }

 private:
  const std::string password_;
};

// Signs with the key of `key_file`, as RS256 does.
std::string Sign(const std::string& key_file, const std::string& text) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(key_file.c_str(), "r"), &BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get());
  std::string signature(512, '\0');
  size_t size = signature.size();
  const int signed_ok = EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(&signature[0]), &size,
                                       reinterpret_cast<const unsigned char*>(text.data()), text.size());
  EXPECT_EQ(signed_ok, 1);
  signature.resize(size);
  return signature;
}

std::string Base64Url(const std::string& text) {
  std::string encoded;
  absl::WebSafeBase64Escape(text, &encoded);
  return encoded;
}

class DockerRegistryAuthTest : public ::testing::Test {
 protected:
  static void Run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

  void SetUp() override {
    const DockerRegistry plain(dir_.path());
    OciLayoutBuilder layout(dir_.MakeDirectory("layout"));
    testing::ImageSpec spec;
    // What does not get smaller on the way, so that it takes more than one read.
    std::string content;
    for (uint32_t i = 0, x = 1; i < 2'000'000; ++i, x = x * 1664525 + 1013904223) content += static_cast<char>(x >> 24);
    spec.layers = {{.tar = TarBuilder().File("f", content).Build()}};
    image_ = layout.AddImage(spec, "1");
    Run(absl::StrCat("skopeo copy --quiet --insecure-policy --dest-tls-verify=false oci:", layout.directory(),
                     ":1 docker://", plain.host(), "/a/app:1"));
  }

  // An authority "ca.pem" and a certificate of 127.0.0.1 by it, "cert.pem", with their keys.
  void MakeCertificates() {
    Run(absl::StrCat(
        "cd ", dir_.path(), " && exec 2>/dev/null && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca ",
        "-keyout ca.key -out ca.pem && openssl req -newkey rsa:2048 -nodes -subj /CN=registry -keyout key.pem ",
        "-out csr.pem && printf 'subjectAltName=IP:127.0.0.1' >san && openssl x509 -req -in csr.pem -CA ca.pem ",
        "-CAkey ca.key -CAcreateserial -days 2 -extfile san -out cert.pem"));
  }

  void WriteHosts(const std::string& directory, const std::string& toml) {
    std::filesystem::create_directories(dir_.At("certs.d/" + directory));
    std::ofstream(dir_.At("certs.d/" + directory + "/hosts.toml")) << toml;
  }

  RegistryClient Client(const std::string& password = "") {
    RegistryClientOptions options;
    options.hosts_dir = dir_.At("certs.d");
    options.clock = std::make_shared<FakeRetryClock>();
    if (!password.empty()) options.credentials = std::make_shared<Login>(password);
    options.plain_http_credentials = {"127.0.0.1"};
    return RegistryClient(LocalityRules::Create({}).value(), options);
  }

  // Manifest by tag, config and layer.
  absl::Status FetchAll(const RegistryClient& client, const std::string& host) {
    const Reference reference = ParseReference(host + "/a/app:1").value();
    ASSIGN_OR_RETURN(const FetchedManifest manifest, client.FetchManifest(reference, nullptr));
    EXPECT_EQ(manifest.descriptor.digest, image_.manifest);
    ASSIGN_OR_RETURN(const std::string config,
                     client.FetchBlobDocument(host, "a/app", image_.config, 1 << 20, nullptr));
    EXPECT_EQ(config, image_.config_json);
    const BlobRequest layer = {.digest = image_.layers[0].digest, .size = image_.layers[0].size};
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteReader> reader, client.OpenBlob(host, "a/app", layer, nullptr));
    std::string bytes;
    std::vector<char> buffer(10'000);
    while (true) {
      ASSIGN_OR_RETURN(const size_t count, reader->Read(absl::MakeSpan(buffer)));
      if (count == 0) break;
      bytes.append(buffer.data(), count);
    }
    EXPECT_EQ(Digest::Of(bytes), layer.digest);
    return absl::OkStatus();
  }

  // "MIIC…", the certificate as one line.
  std::string CertificateLine() {
    std::ifstream file(dir_.At("cert.pem"));
    std::string line;
    std::string text;
    while (std::getline(file, line)) {
      if (!absl::StartsWith(line, "-----")) text += line;
    }
    return text;
  }

  // What a token server of docker-registry issues: a JSON Web Token, valid from now on for a minute.
  std::string Token(bool for_app) {
    const std::string header = absl::StrCat(R"({"typ":"JWT","alg":"RS256","x5c":[")", CertificateLine(), "\"]}");
    const int64_t now = absl::ToUnixSeconds(absl::Now());
    const std::string access = for_app ? R"({"type":"repository","name":"a/app","actions":["pull"]})" : "";
    const std::string claims =
        absl::StrCat(R"({"iss":"issuer","sub":"ali","aud":"the registry","jti":"1","nbf":)", now - 1, ",\"iat\":", now,
                     ",\"exp\":", now + 60, ",\"access\":[", access, "]}");
    const std::string text = absl::StrCat(Base64Url(header), ".", Base64Url(claims));
    return absl::StrCat(text, ".", Base64Url(Sign(dir_.At("key.pem"), text)));
  }

  TempDir dir_;
  BuiltImage image_;
};

TEST_F(DockerRegistryAuthTest, ItsOwnAuthorityByHostsToml) {
  MakeCertificates();
  const DockerRegistry registry(
      dir_.path(), absl::StrCat("tls: {certificate: ", dir_.At("cert.pem"), ", key: ", dir_.At("key.pem"), "}"));
  const std::string server = absl::StrCat("server = \"https://", registry.host(), "\"\n");
  WriteHosts(registry.HostsDirectory(), absl::StrCat(server, "ca = \"", dir_.At("ca.pem"), "\"\n"));
  EXPECT_OK(FetchAll(Client(), registry.host()));
  std::ifstream access_log(registry.access_log());
  const std::string log((std::istreambuf_iterator<char>(access_log)), std::istreambuf_iterator<char>());
  EXPECT_TRUE(absl::StrContains(log, "/manifests/1 HTTP/2.0\" 200 ")) << log;
  WriteHosts(registry.HostsDirectory(), server);
  EXPECT_THAT(FetchAll(Client(), registry.host()),
              StatusIs(absl::StatusCode::kUnavailable, "unable to get local issuer certificate"));
  WriteHosts(registry.HostsDirectory(), absl::StrCat(server, "skip_verify = true\n"));
  EXPECT_OK(FetchAll(Client(), registry.host()));
}

TEST_F(DockerRegistryAuthTest, AClientCertificateByHostsToml) {
  MakeCertificates();
  const DockerRegistry registry(dir_.path(),
                                absl::StrCat("tls: {certificate: ", dir_.At("cert.pem"), ", key: ", dir_.At("key.pem"),
                                             ", clientcas: [", dir_.At("ca.pem"), "]}"));
  const std::string base =
      absl::StrCat("server = \"https://", registry.host(), "\"\nca = \"", dir_.At("ca.pem"), "\"\n");
  WriteHosts(registry.HostsDirectory(), base);
  EXPECT_THAT(FetchAll(Client(), registry.host()), StatusIs(absl::StatusCode::kUnavailable));
  WriteHosts(registry.HostsDirectory(),
             absl::StrCat(base, "client = [[\"", dir_.At("cert.pem"), "\", \"", dir_.At("key.pem"), "\"]]\n"));
  EXPECT_OK(FetchAll(Client(), registry.host()));
}

TEST_F(DockerRegistryAuthTest, APassword) {
  std::ofstream(dir_.At("htpasswd")) << "ali:" << kPasswordHash << "\n";
  const DockerRegistry registry(dir_.path(), "",
                                absl::StrCat("auth: {htpasswd: {realm: here, path: ", dir_.At("htpasswd"), "}}"));
  EXPECT_OK(FetchAll(Client(kPassword), registry.host()));
  EXPECT_THAT(FetchAll(Client("wrong"), registry.host()),
              StatusIs(absl::StatusCode::kUnauthenticated, "from the test are not accepted"));
  EXPECT_THAT(FetchAll(Client(), registry.host()),
              StatusIs(absl::StatusCode::kUnauthenticated, "there are no credentials for " + registry.host()));
}

TEST_F(DockerRegistryAuthTest, APasswordThatDockerLoginHasLeft) {
  std::ofstream(dir_.At("htpasswd")) << "ali:" << kPasswordHash << "\n";
  const DockerRegistry registry(dir_.path(), "",
                                absl::StrCat("auth: {htpasswd: {realm: here, path: ", dir_.At("htpasswd"), "}}"));
  std::ofstream(dir_.At("config.json")) << "{\"auths\":{\"" << registry.host() << "\":{\"auth\":\""
                                        << absl::Base64Escape(absl::StrCat("ali:", kPassword)) << "\"}}}";
  DockerCredentialOptions files;
  files.docker_config = dir_.path();
  RegistryClientOptions options;
  options.credentials = MakeDockerCredentials(files);
  options.plain_http_credentials = {registry.host()};
  EXPECT_OK(FetchAll(RegistryClient(LocalityRules::Create({}).value(), options), registry.host()));
}

TEST_F(DockerRegistryAuthTest, ATokenServer) {
  MakeCertificates();
  FaultServer issuer("127.0.0.1", "");
  const DockerRegistry registry(
      dir_.path(), "",
      absl::StrCat("auth: {token: {realm: \"http://", issuer.host(),
                   "/token\", service: the registry, issuer: issuer, rootcertbundle: ", dir_.At("ca.pem"), "}}"));
  const std::string basic = absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat("ali:", kPassword)));
  std::atomic<bool> knows_post = true;
  issuer.OnRequest([&](const SeenRequest& request) {
    if (!request.form.empty() && !knows_post) return issuer.Script({Reply::Status(404)});
    const bool known = request.authorization == basic || absl::StrContains(request.form, "password=open%20sesame&");
    const bool refused = (!request.form.empty() || !request.authorization.empty()) && !known;
    issuer.Script({refused ? Reply::Status(401)
                           : Reply::Status(200, absl::StrCat("{\"token\":\"", Token(known), "\",\"expires_in\":60}"))});
  });
  EXPECT_OK(FetchAll(Client(kPassword), registry.host()));
  // One token for manifest, config and layer.
  EXPECT_EQ(issuer.requests().size(), 1u);
  EXPECT_TRUE(absl::StrContains(issuer.requests()[0].form, "service=the%20registry&scope=repository%3Aa%2Fapp%3Apull"));
  knows_post = false;
  EXPECT_OK(FetchAll(Client(kPassword), registry.host()));
  EXPECT_EQ(issuer.requests().size(), 3u);
  EXPECT_THAT(FetchAll(Client("wrong"), registry.host()),
              StatusIs(absl::StatusCode::kUnauthenticated, "HTTP status 401: the credentials for"));
  // Anonymous, and given a token that allows nothing.
  EXPECT_THAT(FetchAll(Client(), registry.host()),
              StatusIs(absl::StatusCode::kUnauthenticated, "there are no credentials for"));
}

TEST_F(DockerRegistryAuthTest, AMirrorBelowAPrefix) {
  const DockerRegistry mirror(dir_.path(), "prefix: /mirror/");
  WriteHosts("registry.example",
             absl::StrCat("server = \"http://127.0.0.1:1\"\n[host.\"http://", mirror.host(),
                          "/mirror/v2\"]\ncapabilities = [\"pull\", \"resolve\"]\n", "override_path = true\n"));
  EXPECT_OK(FetchAll(Client(), "registry.example"));
}

}  // namespace
}  // namespace sluice
