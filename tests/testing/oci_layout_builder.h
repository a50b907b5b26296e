// An OCI image layout on disk (image-spec image-layout.md), as `docker buildx -o type=oci` or skopeo leaves it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "nlohmann/json.hpp"

namespace sluice::testing {

enum class LayerCompression { kNone, kGzip, kZstd };

struct LayerSpec {
  std::string tar;  // uncompressed
  LayerCompression compression = LayerCompression::kGzip;
};

struct ImageSpec {
  std::vector<LayerSpec> layers;  // base first
  // The config's "config" object: Entrypoint, Env, …
  nlohmann::json config = nlohmann::json::object();
  std::string architecture = "amd64";
  std::string os = "linux";
  std::string variant = {};
  bool docker = false;  // Docker schema 2 media types
};

struct BuiltLayer {
  Digest digest;  // of the blob
  int64_t size = 0;
  Digest diff_id;
  Digest chain_id;
  std::string media_type;
};

struct BuiltImage {
  Digest manifest;
  Digest config;
  std::vector<BuiltLayer> layers;  // base first
  nlohmann::json descriptor;       // of the manifest, with its platform
  std::string manifest_json;
  std::string config_json;
};

// Writes at once; a failing write ends the test program with a message. One thread at a time.
class OciLayoutBuilder {
 public:
  // Makes oci-layout, index.json and blobs/sha256 in `directory`, which exists and is empty.
  explicit OciLayoutBuilder(std::string directory);

  // Blobs only; index.json is not touched.
  BuiltImage WriteImage(const ImageSpec& spec);
  // WriteImage() and an entry of index.json with org.opencontainers.image.ref.name = `ref_name`, replacing one of that
  // name as a push does. Empty: an entry without a name.
  BuiltImage AddImage(const ImageSpec& spec, absl::string_view ref_name);
  // An image index over these manifests as a blob, entered in index.json under `ref_name`. Returns its digest.
  Digest AddIndex(const std::vector<BuiltImage>& images, absl::string_view ref_name);
  // Any descriptor, as an entry of index.json.
  void AddDescriptor(nlohmann::json descriptor, absl::string_view ref_name);

  Digest WriteBlob(absl::string_view bytes);
  std::string BlobPath(const Digest& digest) const;
  std::string IndexPath() const { return directory_ + "/index.json"; }
  const std::string& directory() const { return directory_; }

 private:
  void WriteIndex() const;

  const std::string directory_;
  nlohmann::json manifests_ = nlohmann::json::array();
};

}  // namespace sluice::testing
