#include "tests/testing/oci_layout_builder.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/testing/compress.h"

namespace sluice::testing {
namespace {

using nlohmann::json;

constexpr char kRefName[] = "org.opencontainers.image.ref.name";

struct MediaTypes {
  const char* manifest;
  const char* config;
  const char* layer;
  const char* gzip_suffix;
  const char* zstd_suffix;
};
constexpr MediaTypes kOci = {"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json",
                             "application/vnd.oci.image.layer.v1.tar", "+gzip", "+zstd"};
constexpr MediaTypes kDocker = {"application/vnd.docker.distribution.manifest.v2+json",
                                "application/vnd.docker.container.image.v1+json",
                                "application/vnd.docker.image.rootfs.diff.tar", ".gzip", ".zstd"};

[[noreturn]] void Die(absl::string_view operation, absl::string_view path) {
  std::cerr << "OCI layout: " << operation << "(" << path << "): " << std::strerror(errno) << std::endl;
  std::abort();
}

void MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0) Die("mkdir", path);
}

void WriteFile(const std::string& path, absl::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) Die("write", path);
}

std::string Compress(const LayerSpec& layer) {
  switch (layer.compression) {
    case LayerCompression::kNone:
      return layer.tar;
    case LayerCompression::kGzip:
      return Gzip(layer.tar);
    case LayerCompression::kZstd:
      return Zstd(layer.tar);
  }
  std::abort();
}

std::string MediaType(const MediaTypes& types, LayerCompression compression) {
  switch (compression) {
    case LayerCompression::kNone:
      return types.layer;
    case LayerCompression::kGzip:
      return absl::StrCat(types.layer, types.gzip_suffix);
    case LayerCompression::kZstd:
      return absl::StrCat(types.layer, types.zstd_suffix);
  }
  std::abort();
}

json Descriptor(absl::string_view media_type, const Digest& digest, int64_t size) {
  return {{"mediaType", std::string(media_type)}, {"digest", digest.ToString()}, {"size", size}};
}

json Platform(const ImageSpec& spec) {
  json platform = {{"architecture", spec.architecture}, {"os", spec.os}};
  if (!spec.variant.empty()) platform["variant"] = spec.variant;
  return platform;
}

json Config(const ImageSpec& spec, const std::vector<BuiltLayer>& layers) {
  json config = Platform(spec);
  config["config"] = spec.config;
  config["rootfs"] = {{"type", "layers"}, {"diff_ids", json::array()}};
  for (const BuiltLayer& layer : layers) config["rootfs"]["diff_ids"].push_back(layer.diff_id.ToString());
  return config;
}

}  // namespace

OciLayoutBuilder::OciLayoutBuilder(std::string directory) : directory_(std::move(directory)) {
  MakeDirectory(absl::StrCat(directory_, "/blobs"));
  MakeDirectory(absl::StrCat(directory_, "/blobs/sha256"));
  WriteFile(absl::StrCat(directory_, "/oci-layout"), R"({"imageLayoutVersion":"1.0.0"})");
  WriteIndex();
}

BuiltImage OciLayoutBuilder::WriteImage(const ImageSpec& spec) {
  const MediaTypes& types = spec.docker ? kDocker : kOci;
  BuiltImage image;
  json layers = json::array();
  for (const LayerSpec& layer : spec.layers) {
    const std::string blob = Compress(layer);
    BuiltLayer built{.digest = WriteBlob(blob),
                     .size = static_cast<int64_t>(blob.size()),
                     .diff_id = Digest::Of(layer.tar),
                     .chain_id = Digest::Of(layer.tar),
                     .media_type = MediaType(types, layer.compression)};
    if (!image.layers.empty()) {
      // image-spec config.md, Layer ChainID.
      built.chain_id = Digest::Of(absl::StrCat(image.layers.back().chain_id.ToString(), " ", built.diff_id.ToString()));
    }
    layers.push_back(Descriptor(built.media_type, built.digest, built.size));
    image.layers.push_back(std::move(built));
  }
  image.config_json = Config(spec, image.layers).dump();
  image.config = WriteBlob(image.config_json);
  const json manifest = {
      {"schemaVersion", 2},
      {"mediaType", types.manifest},
      {"config", Descriptor(types.config, image.config, static_cast<int64_t>(image.config_json.size()))},
      {"layers", std::move(layers)}};
  image.manifest_json = manifest.dump();
  image.manifest = WriteBlob(image.manifest_json);
  image.descriptor = Descriptor(types.manifest, image.manifest, static_cast<int64_t>(image.manifest_json.size()));
  image.descriptor["platform"] = Platform(spec);
  return image;
}

BuiltImage OciLayoutBuilder::AddImage(const ImageSpec& spec, absl::string_view ref_name) {
  BuiltImage image = WriteImage(spec);
  AddDescriptor(image.descriptor, ref_name);
  return image;
}

Digest OciLayoutBuilder::AddIndex(const std::vector<BuiltImage>& images, absl::string_view ref_name) {
  constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";
  json index = {{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", json::array()}};
  for (const BuiltImage& image : images) index["manifests"].push_back(image.descriptor);
  const std::string bytes = index.dump();
  const Digest digest = WriteBlob(bytes);
  AddDescriptor(Descriptor(kIndexType, digest, static_cast<int64_t>(bytes.size())), ref_name);
  return digest;
}

void OciLayoutBuilder::AddDescriptor(json descriptor, absl::string_view ref_name) {
  if (!ref_name.empty()) {
    const std::string name(ref_name);
    json kept = json::array();
    for (const json& entry : manifests_) {
      if (entry.value(json::json_pointer(absl::StrCat("/annotations/", kRefName)), std::string()) != name) {
        kept.push_back(entry);
      }
    }
    manifests_ = std::move(kept);
    descriptor["annotations"][kRefName] = name;
  }
  manifests_.push_back(std::move(descriptor));
  WriteIndex();
}

Digest OciLayoutBuilder::WriteBlob(absl::string_view bytes) {
  const Digest digest = Digest::Of(bytes);
  WriteFile(BlobPath(digest), bytes);
  return digest;
}

std::string OciLayoutBuilder::BlobPath(const Digest& digest) const {
  return absl::StrCat(directory_, "/blobs/sha256/", digest.Hex());
}

void OciLayoutBuilder::WriteIndex() const {
  const json index = {{"schemaVersion", 2}, {"manifests", manifests_}};
  WriteFile(IndexPath(), index.dump());
}

}  // namespace sluice::testing
