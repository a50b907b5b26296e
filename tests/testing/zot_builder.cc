#include "tests/testing/zot_builder.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace sluice::testing {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const json::json_pointer kRefName("/annotations/org.opencontainers.image.ref.name");

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::cerr << "ZotBuilder: can't read " << path << std::endl;
    std::abort();
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Write(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file) {
    std::cerr << "ZotBuilder: can't write " << path << std::endl;
    std::abort();
  }
}

std::string Hex(const json& descriptor) { return descriptor["digest"].get<std::string>().substr(7); }

bool HasParts(const json& descriptor) {
  const std::string type = descriptor["mediaType"];
  return type.find("manifest") != std::string::npos || type.find("index") != std::string::npos;
}

// What a manifest or an index names.
std::vector<json> Parts(const json& document) {
  std::vector<json> parts = document.value("manifests", std::vector<json>());
  for (const json& layer : document.value("layers", std::vector<json>())) parts.push_back(layer);
  if (document.contains("config")) parts.push_back(document["config"]);
  return parts;
}

}  // namespace

ZotBuilder::ZotBuilder(std::string root) : root_(std::move(root)) {
  Write(absl::StrCat(root_, "/cache.db"), "bolt");
  Write(absl::StrCat(root_, "/meta.db"), "bolt");
  fs::create_directory(absl::StrCat(root_, "/_trivy"));
}

std::string ZotBuilder::Directory(const std::string& repository) const { return absl::StrCat(root_, "/", repository); }

std::string ZotBuilder::BlobPath(const std::string& repository, const Digest& digest) const {
  return absl::StrCat(Directory(repository), "/blobs/sha256/", digest.Hex());
}

std::string ZotBuilder::IndexPath(const std::string& repository) const {
  return absl::StrCat(Directory(repository), "/index.json");
}

void ZotBuilder::WriteByRename(const std::string& repository, const std::string& path, const std::string& content) {
  const std::string upload = absl::StrCat(Directory(repository), "/.uploads/", ++uploads_);
  Write(upload, content);
  fs::rename(upload, path);
}

json ZotBuilder::ReadEntries(const std::string& repository) const {
  return json::parse(Read(IndexPath(repository)))["manifests"];
}

void ZotBuilder::WriteIndex(const std::string& repository, json manifests) {
  const json index = {{"schemaVersion", 2},
                      {"mediaType", "application/vnd.oci.image.index.v1+json"},
                      {"manifests", std::move(manifests)}};
  WriteByRename(repository, IndexPath(repository), index.dump());
}

void ZotBuilder::PushBlob(const std::string& source, const json& descriptor, const std::string& repository) {
  const std::string content = Read(absl::StrCat(source, "/blobs/sha256/", Hex(descriptor)));
  if (HasParts(descriptor)) {
    for (const json& part : Parts(json::parse(content))) PushBlob(source, part, repository);
  }
  const std::string path = absl::StrCat(Directory(repository), "/blobs/sha256/", Hex(descriptor));
  if (fs::exists(path)) return;
  // zot remembers in cache.db where it has the blob already.
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    if (entry.path().filename() != Hex(descriptor)) continue;
    fs::create_hard_link(entry.path(), path);
    return;
  }
  WriteByRename(repository, path, content);
}

void ZotBuilder::Push(const std::string& source, absl::string_view source_name, const std::string& repository,
                      absl::string_view tag) {
  const std::string directory = Directory(repository);
  fs::create_directories(absl::StrCat(directory, "/blobs/sha256"));
  fs::create_directories(absl::StrCat(directory, "/.uploads"));
  if (!fs::exists(IndexPath(repository))) {
    Write(absl::StrCat(directory, "/oci-layout"), R"({"imageLayoutVersion":"1.0.0"})");
    WriteIndex(repository, json::array());
  }
  json descriptor;
  const json source_index = json::parse(Read(absl::StrCat(source, "/index.json")));
  for (const json& entry : source_index["manifests"]) {
    if (entry.value(kRefName, "") == std::string(source_name)) descriptor = entry;
  }
  PushBlob(source, descriptor, repository);

  json manifests = json::array();
  for (json entry : ReadEntries(repository)) {
    const bool loses_its_tag = entry.value(kRefName, "") == std::string(tag);
    if (loses_its_tag) entry.erase("annotations");
    manifests.push_back(std::move(entry));
  }
  descriptor["annotations"] = {{"org.opencontainers.image.ref.name", std::string(tag)}};
  manifests.push_back(std::move(descriptor));
  WriteIndex(repository, std::move(manifests));
}

void ZotBuilder::Delete(const std::string& repository, absl::string_view tag) {
  json kept = json::array();
  std::set<std::string> needed;
  const std::function<void(const json&)> need = [&](const json& descriptor) {
    needed.insert(Hex(descriptor));
    if (!HasParts(descriptor)) return;
    const std::string path = absl::StrCat(Directory(repository), "/blobs/sha256/", Hex(descriptor));
    for (const json& part : Parts(json::parse(Read(path)))) need(part);
  };
  for (const json& entry : ReadEntries(repository)) {
    if (entry.value(kRefName, "") == std::string(tag)) continue;
    need(entry);
    kept.push_back(entry);
  }
  WriteIndex(repository, std::move(kept));
  std::vector<fs::path> rubbish;
  for (const auto& blob : fs::directory_iterator(absl::StrCat(Directory(repository), "/blobs/sha256"))) {
    if (needed.count(blob.path().filename()) == 0) rubbish.push_back(blob.path());
  }
  for (const fs::path& path : rubbish) fs::remove(path);
}

}  // namespace sluice::testing
