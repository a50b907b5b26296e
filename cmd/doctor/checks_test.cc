// Each thing that can be wrong with a node, one row a thing: what is said of it, and the mend, literally.
#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cmd/doctor/check.h"
#include "cmd/doctor/print_config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/platform.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kSocket[] = "/run/containerd-sluice-grpc/containerd-sluice-grpc.sock";
constexpr char kRoot[] = "/var/lib/containerd-sluice-grpc";

// A node where `doctor --print-config` was followed to the letter.
NodeFacts Healthy(ContainerdVersion version = {2, 3, 4}) {
  NodeFacts facts;
  facts.config_path = "/etc/s.toml";
  facts.address = kSocket;
  facts.socket = {SocketState::kServed, 7};
  facts.daemon = DaemonFacts{"1.2.3", kRoot, "uuid-1", "", 1'000'000};
  facts.root = kRoot;
  facts.stores = {{"oci-layout", "/srv/layout", absl::OkStatus()}};
  facts.containerd_config.path = "/etc/c.toml";
  facts.containerd_config.changed_at = absl::FromUnixSeconds(1000);
  EXPECT_OK(ParseContainerdConfig(PrintConfig(version, kSocket, kRoot), facts.containerd_config));
  facts.configured_containerd = facts.containerd_config.address;
  facts.containerd.address = facts.containerd_config.address;
  facts.containerd.socket = {SocketState::kServed, 8};
  facts.containerd.version_text = "2.3.4";
  facts.containerd.version = version;
  facts.containerd.uuid = "uuid-1";
  facts.containerd.started = absl::FromUnixSeconds(2000);
  facts.containerd.plugins = {{"io.containerd.snapshotter.v1", "overlayfs", {}, ""},
                              {"io.containerd.snapshotter.v1", "sluice", {}, ""}};
  facts.selinux = {SelinuxMode::kEnforcing, "system_u:object_r:container_file_t:s0"};
  facts.has_hosts_dir = true;
  facts.known_hosts = {"172.30.0.1:5000"};
  facts.hosts = {{"172.30.0.1:5000", "/h/hosts.toml", "http", false, "172.30.0.1:5000", SpokenScheme::kHttp}};
  facts.cache_limit = int64_t{10} << 30;
  facts.free_bytes = int64_t{100} << 30;
  return facts;
}

std::string Text(const Finding& finding) {
  return absl::StrCat(VerdictName(finding.verdict), " ", finding.check, ": ", finding.seen, "\n", finding.mend);
}

// The findings that are not ok.
std::vector<std::string> Complaints(const NodeFacts& facts) {
  std::vector<std::string> complaints;
  const Findings findings = RunChecks(facts);
  for (const Finding& finding : findings.all()) {
    EXPECT_EQ(finding.mend.empty(), finding.verdict == Verdict::kOk) << Text(finding);
    EXPECT_THAT(finding.seen, Not(HasSubstr("\n")));
    if (finding.verdict != Verdict::kOk) complaints.push_back(Text(finding));
  }
  return complaints;
}

TEST(ChecksTest, WhatPrintConfigSaysHasNothingWrongWithIt) {
  for (const ContainerdVersion version :
       {ContainerdVersion{1, 6, 20}, ContainerdVersion{1, 7, 34}, ContainerdVersion{2, 0, 9},
        ContainerdVersion{2, 3, 4}, ContainerdVersion{2, 4, 0}}) {
    EXPECT_THAT(Complaints(Healthy(version)), IsEmpty()) << version.major << "." << version.minor;
  }
}

TEST(ChecksTest, EveryCheckSaysSomethingOfAHealthyNode) {
  const Findings findings = RunChecks(Healthy());
  for (const auto& checks : {DaemonChecks(), ContainerdChecks(), ClientChecks(), RegistryChecks()}) {
    for (const Check& check : checks) {
      const std::string name = check.name;
      // Of these there is nothing to say while all is well, or nobody asked for them.
      if (name == "containerd-config" || name == "one-containerd" || name == "cri-annotations") continue;
      EXPECT_TRUE(std::any_of(findings.all().begin(), findings.all().end(), [&name](const Finding& finding) {
        return finding.check == name;
      })) << name;
    }
  }
}

TEST(ChecksTest, TheManualHasALineForEachCheck) {
  std::stringstream manual;
  manual << std::ifstream("docs/troubleshooting.md").rdbuf();
  for (const auto& checks : {DaemonChecks(), ContainerdChecks(), ClientChecks(), RegistryChecks()}) {
    for (const Check& check : checks) EXPECT_THAT(manual.str(), HasSubstr(absl::StrCat("\n| `", check.name, "` | ")));
  }
}

void UseCri(NodeFacts& facts) {
  facts.containerd_config.cri.written = true;
  facts.containerd_config.cri.snapshotter = "sluice";
}

// No longer what the configuration registers.
void Unregister(NodeFacts& facts) { facts.containerd_config.proxies.clear(); }

struct Row {
  const char* name;
  std::function<void(NodeFacts&)> spoil;
  // "verdict check: seen\nmend", $PLATFORM for this machine's.
  const char* complaint;
};

class ChecksTableTest : public ::testing::TestWithParam<Row> {};

TEST_P(ChecksTableTest, IsFoundAndNothingElse) {
  NodeFacts facts = Healthy();
  GetParam().spoil(facts);
  const std::string expected =
      absl::StrReplaceAll(GetParam().complaint, {{"$PLATFORM", HostPlatform().ToString()}, {"$SOCKET", kSocket}});
  EXPECT_THAT(Complaints(facts), ::testing::ElementsAre(expected));
}

const Row kDaemonRows[] = {
    {"ConfigIsWrong",
     [](NodeFacts& f) { f.config_status = absl::InvalidArgumentError("config: /etc/s.toml:3: unknown key"); },
     "fail config: config: /etc/s.toml:3: unknown key\nsluicectl config check /etc/s.toml"},
    {"SocketMissing",
     [](NodeFacts& f) {
       f.socket = {SocketState::kMissing};
       f.daemon.reset();
     },
     "fail socket: $SOCKET: no socket there: the daemon does not run\nsystemctl start containerd-sluice-grpc"},
    {"SocketStale",
     [](NodeFacts& f) {
       f.socket = {SocketState::kStale};
       f.daemon.reset();
     },
     "fail socket: $SOCKET: refused: nobody listens there, the daemon was killed\nsystemctl start "
     "containerd-sluice-grpc"},
    {"SocketOfRoot",
     [](NodeFacts& f) {
       f.socket = {SocketState::kNoAccess};
       f.daemon.reset();
     },
     "fail socket: $SOCKET: permission denied: it is root's\nsudo sluicectl doctor"},
    {"SocketIsAFile",
     [](NodeFacts& f) {
       f.socket = {SocketState::kNoSocket};
       f.daemon.reset();
     },
     "fail socket: $SOCKET: is no socket\nrm -r $SOCKET\nsystemctl start containerd-sluice-grpc"},
    {"SomebodyElseServes",
     [](NodeFacts& f) {
       f.daemon.reset();
       f.daemon_status = absl::UnimplementedError("daemon: what serves there is no containerd-sluice-grpc");
     },
     "fail socket: daemon: what serves there is no containerd-sluice-grpc\nsystemctl restart containerd-sluice-grpc"},
    {"RootCant", [](NodeFacts& f) { f.root_status = absl::FailedPreconditionError("root: /x: is on overlayfs"); },
     "fail root: root: /x: is on overlayfs\ncontainerd-sluice-grpc --root DIRECTORY, on ext4, xfs or btrfs of this "
     "host"},
    {"RootIsNodev", [](NodeFacts& f) { f.root_warnings = {"/x is mounted nodev: devices don't work"}; },
     "warn root: /x is mounted nodev: devices don't work\nmount -o remount,dev,suid,exec $(findmnt -nT "
     "/var/lib/containerd-sluice-grpc -o TARGET)"},
    {"SelinuxEnforces", [](NodeFacts& f) { f.selinux.root_context = "system_u:object_r:var_lib_t:s0"; },
     "fail selinux: /var/lib/containerd-sluice-grpc: var_lib_t: SELinux keeps containers from their own files\n"
     "semanage fcontext -a -t container_file_t '/var/lib/containerd-sluice-grpc(/.*)?'\n"
     "restorecon -R /var/lib/containerd-sluice-grpc"},
    {"SelinuxWould",
     [](NodeFacts& f) {
       f.selinux = {SelinuxMode::kPermissive, ""};
     },
     "warn selinux: /var/lib/containerd-sluice-grpc: no type: once SELinux enforces, containers can't read their own "
     "files\nsemanage fcontext -a -t container_file_t '/var/lib/containerd-sluice-grpc(/.*)?'\n"
     "restorecon -R /var/lib/containerd-sluice-grpc"},
    {"StoreIsNone", [](NodeFacts& f) { f.stores[0].status = absl::FailedPreconditionError("has no oci-layout"); },
     "fail store: oci-layout /srv/layout: has no oci-layout\nin /etc/s.toml:\n[[store]]\nkind = \"oci-layout\"  # or "
     "zot, distribution: whoever writes it\npath = \"DIRECTORY\"      # where that program keeps its blobs\nthen: "
     "systemctl restart containerd-sluice-grpc"},
    {"StoreUnreadable", [](NodeFacts& f) { f.stores[0].status = absl::PermissionDeniedError("opendir(/srv): no"); },
     "fail store: oci-layout /srv/layout: opendir(/srv): no\nsudo ls -ld /srv/layout"},
    {"CacheIsLarger",
     [](NodeFacts& f) {
       f.free_bytes = int64_t{5} << 30;  // of which one is kept free
     },
     "warn cache: may hold 10.7 GB, has 1.0 MB, 5.4 GB are free: more than there is room for\nin "
     "/etc/s.toml:\n[cache]\n"
     "max_bytes = \"4GiB\"\nthen: systemctl restart containerd-sluice-grpc"},
    {"CacheHasNoRoom", [](NodeFacts& f) { f.free_bytes = 0; },
     "warn cache: may hold 10.7 GB, has 1.0 MB, 0 B are free: more than there is room for\nin /etc/s.toml:\n[cache]\n"
     "max_bytes = \"1MiB\"\nthen: systemctl restart containerd-sluice-grpc"},
};

const Row kContainerdRows[] = {
    {"NotThere",
     [](NodeFacts& f) {
       f.containerd = {};
       f.containerd.address = "/run/containerd/containerd.sock";
       f.containerd.answers = absl::UnavailableError("no socket there");
     },
     "fail containerd: /run/containerd/containerd.sock: no socket there\nsystemctl start containerd"},
    {"AnotherOneIs",
     [](NodeFacts& f) {
       f.containerd = {};
       f.containerd.address = "/run/containerd/containerd.sock";
       f.containerd.answers = absl::UnavailableError("no socket there");
       f.containerd.others = {"/run/k3s/containerd/containerd.sock"};
     },
     "fail containerd: /run/containerd/containerd.sock: no socket there; one serves "
     "/run/k3s/containerd/containerd.sock\nin /etc/s.toml:\n[containerd]\naddress = "
     "\"/run/k3s/containerd/containerd.sock\"\nthen: systemctl restart containerd-sluice-grpc"},
    {"WrongAddress", [](NodeFacts& f) { f.configured_containerd = "/run/other.sock"; },
     "fail containerd-address: the daemon asks /run/other.sock, but the containerd that has it in /etc/c.toml is at "
     "/run/containerd/containerd.sock\nin /etc/s.toml:\n[containerd]\naddress = "
     "\"/run/containerd/containerd.sock\"\nthen: systemctl restart containerd-sluice-grpc"},
    {"NotRegistered", Unregister,
     "fail registered: no snapshotter of /etc/c.toml has the address $SOCKET\nin "
     "/etc/c.toml:\n[proxy_plugins.sluice]\n  "
     "type = \"snapshot\"\n  address = \"$SOCKET\"\n  [proxy_plugins.sluice.exports]\n    root = "
     "\"/var/lib/containerd-sluice-grpc\"\nthen: systemctl restart containerd"},
    {"RegisteredElsewhere",
     [](NodeFacts& f) {
       Unregister(f);
       f.containerd_config.proxies = {{"sluice", "snapshot", "/run/old.sock", {}}};
     },
     "fail registered: [proxy_plugins.sluice] has the address /run/old.sock, the daemon's is $SOCKET\nin "
     "/etc/c.toml:\n[proxy_plugins.sluice]\n  type = \"snapshot\"\n  address = \"$SOCKET\"\n  "
     "[proxy_plugins.sluice.exports]\n    root = \"/var/lib/containerd-sluice-grpc\"\nthen: systemctl restart "
     "containerd"},
    {"NotRestarted", [](NodeFacts& f) { f.containerd.plugins.pop_back(); },
     "fail loaded: sluice is configured, but containerd was not restarted since\nsystemctl restart containerd"},
    {"ChangedSince", [](NodeFacts& f) { f.containerd_config.changed_at = absl::FromUnixSeconds(2001); },
     "warn loaded: sluice is loaded, but /etc/c.toml was changed after containerd's start: what it says now does not "
     "hold yet\nsystemctl restart containerd"},
    {"LoadedInVain", [](NodeFacts& f) { f.containerd.plugins[1].error = "bad"; },
     "fail loaded: sluice: bad\nsystemctl restart containerd"},
    {"TwoContainerds", [](NodeFacts& f) { f.daemon->refusal = "containerd at /x has UUID b"; },
     "fail one-containerd: containerd at /x has UUID b\ncontainerd-sluice-grpc --config FILE --root DIRECTORY "
     "--address "
     "SOCKET, one for each containerd"},
    {"AnotherContainerd", [](NodeFacts& f) { f.containerd.uuid = "uuid-2"; },
     "fail one-containerd: containerd at /run/containerd/containerd.sock has UUID uuid-2, the daemon serves the one "
     "with "
     "UUID uuid-1\ncontainerd-sluice-grpc --config FILE --root DIRECTORY --address SOCKET, one for each containerd"},
    {"TwoNames",
     [](NodeFacts& f) {
       ProxyPlugin second = f.containerd_config.proxies[0];
       second.name = "fast";
       f.containerd_config.proxies.push_back(second);
       f.containerd.plugins.push_back({"io.containerd.snapshotter.v1", "fast", {}, ""});
     },
     "warn one-containerd: two names for one daemon: sluice, fast: an image that was pulled under one is not there "
     "under "
     "the other\nin /etc/c.toml:\nremove [proxy_plugins.fast]\nthen: systemctl restart containerd"},
    {"NoExportsRoot", [](NodeFacts& f) { f.containerd_config.proxies[0].exports.erase("root"); },
     "fail exports-root: sluice has no exports.root: the kubelet can't see how full /var/lib/containerd-sluice-grpc "
     "is\nin "
     "/etc/c.toml:\n[proxy_plugins.sluice.exports]\n  root = \"/var/lib/containerd-sluice-grpc\"\nthen: systemctl "
     "restart "
     "containerd"},
    {"WrongExportsRoot", [](NodeFacts& f) { f.containerd_config.proxies[0].exports["root"] = "/x"; },
     "fail exports-root: sluice has exports.root /x, the daemon's root is /var/lib/containerd-sluice-grpc\nin "
     "/etc/c.toml:\n[proxy_plugins.sluice.exports]\n  root = \"/var/lib/containerd-sluice-grpc\"\nthen: systemctl "
     "restart "
     "containerd"},
};

const Row kClientRows[] = {
    {"NoUnpackConfig", [](NodeFacts& f) { f.containerd_config.unpack.reset(); },
     "fail transfer: no unpack_config: containerd's own has overlayfs alone, and a pull with sluice ends with \"no "
     "unpack "
     "platforms defined\"\nin /etc/c.toml:\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\n  platform "
     "= "
     "\"$PLATFORM\"\n  snapshotter = \"overlayfs\"\n  differ = "
     "\"walking\"\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\n  "
     "platform = \"$PLATFORM\"\n  snapshotter = \"sluice\"\n  differ = \"sluice-diff\"\nthen: systemctl restart "
     "containerd"},
    {"UnpackConfigLacksUs", [](NodeFacts& f) { f.containerd_config.unpack->pop_back(); },
     "fail transfer: unpack_config lacks sluice: a pull with it ends with \"no unpack platforms defined\"\nin "
     "/etc/c.toml:\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\n  platform = \"$PLATFORM\"\n  "
     "snapshotter = \"sluice\"\n  differ = \"sluice-diff\"\nthen: systemctl restart containerd"},
    {"OverlayfsIsGone", [](NodeFacts& f) { f.containerd_config.unpack->erase(f.containerd_config.unpack->begin()); },
     "warn transfer: unpack_config lists sluice alone: pulls with overlayfs fail, its default is gone\nin "
     "/etc/c.toml:\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\n  platform = \"$PLATFORM\"\n  "
     "snapshotter = \"overlayfs\"\n  differ = \"walking\"\nthen: systemctl restart containerd"},
    {"UnknownDiffer", [](NodeFacts& f) { f.containerd_config.proxies.pop_back(); },
     "fail transfer: unpack_config names the differ sluice-diff, which is not registered: containerd starts without "
     "CRI "
     "and without pulls\nin "
     "/etc/c.toml:\n[proxy_plugins.sluice-diff]\n  type = \"diff\"\n  address = \"$SOCKET\"\nthen: systemctl restart "
     "containerd"},
    {"DifferForAll",
     [](NodeFacts& f) {
       f.containerd_config.diff_order = {{"sluice-diff", "walking"}};
     },
     "warn differ: sluice-diff is in the list of the diff service: while the daemon is down every pull of this node "
     "fails, with overlayfs too\nin /etc/c.toml:\n[plugins.\"io.containerd.service.v1.diff-service\"]\n  default = "
     "[\"walking\"]\nthen: systemctl restart containerd"},
    {"DifferForAllAndNotForUs",
     [](NodeFacts& f) {
       f.containerd_config.diff_order = {{"sluice-diff", "walking"}};
       f.containerd_config.unpack->back().differ.clear();
     },
     "warn differ: sluice-diff is in the list of the diff service: while the daemon is down every pull of this node "
     "fails, with overlayfs too\nin /etc/c.toml:\n[plugins.\"io.containerd.service.v1.diff-service\"]\n  default = "
     "[\"walking\"]\nand name it for our snapshotter alone:\n"
     "[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\n  platform = \"$PLATFORM\"\n  snapshotter = "
     "\"sluice\"\n  differ = \"sluice-diff\"\nthen: systemctl restart containerd"},
    {"AnnotationsAreOff",
     [](NodeFacts& f) {
       UseCri(f);
       f.known_hosts.clear();
       f.containerd_config.proxies[0].exports.erase("enable_remote_snapshot_annotations");
     },
     "warn cri-annotations: off, and no registry's port is known: layers that are in no store on this host are left to "
     "containerd\nin /etc/c.toml:\n[proxy_plugins.sluice.exports]\n  enable_remote_snapshot_annotations = "
     "\"true\"\nthen: "
     "systemctl restart containerd\nor in /etc/s.toml:\n[registry]\nlocal_registries = [\"HOST:PORT\"]\nthen: "
     "systemctl restart containerd-sluice-grpc"},
    {"AnotherSnapshottersImage",
     [](NodeFacts& f) {
       f.hollow_images = {{"default", "app:1", 2, {"stargz"}}};
     },
     "warn images: default: app:1: 2 layers are in no content store, and unpacked by stargz: with sluice it fails with "
     "\"content digest ... not found\"\nctr -a /run/containerd/containerd.sock -n default images rm app:1\nthen pull "
     "it "
     "again"},
    {"OurImageUnderOverlayfs",
     [](NodeFacts& f) {
       f.hollow_images = {{"k8s.io", "app:1", 1, {"sluice"}}};
     },
     "warn images: k8s.io: app:1: 1 layers are in no content store, and unpacked by sluice: with overlayfs it fails "
     "with "
     "\"content digest ... not found\"\nctr -a /run/containerd/containerd.sock -n k8s.io images rm app:1\nthen pull it "
     "again"},
};

const Row kRegistryRows[] = {
    {"NoHostsDir",
     [](NodeFacts& f) {
       f.config.registry.hosts_dir = "/h";
       f.has_hosts_dir = false;
     },
     "fail hosts-dir: /h: no such directory\nmkdir -p /h"},
    {"TheKubeletsIsAnother", [](NodeFacts& f) { f.containerd_config.cri.hosts_dir = "/a:/b"; },
     "warn hosts-dir: the daemon reads /etc/containerd/certs.d, the kubelet's pulls /a:/b\nin "
     "/etc/s.toml:\n[registry]\nhosts_dir = \"/a\"\nthen: systemctl restart containerd-sluice-grpc"},
    {"SaysHttpsSpeaksHttp", [](NodeFacts& f) { f.hosts[0].scheme = "https"; },
     "fail host: 172.30.0.1:5000: /h/hosts.toml says https, and 172.30.0.1:5000 speaks http\nin "
     "/h/hosts.toml:\n[host.\"http://172.30.0.1:5000\"]\n  capabilities = [\"pull\", \"resolve\"]"},
    {"SaysHttpSpeaksHttps", [](NodeFacts& f) { f.hosts[0].spoken = SpokenScheme::kHttps; },
     "fail host: 172.30.0.1:5000: /h/hosts.toml says http, and 172.30.0.1:5000 speaks https\nin "
     "/h/hosts.toml:\n[host.\"https://172.30.0.1:5000\"]\n  capabilities = [\"pull\", \"resolve\"]"},
    {"SaysNothingSpeaksHttp",
     [](NodeFacts& f) {
       f.hosts[0].hosts_file = "";
       f.hosts[0].scheme = "https";
     },
     "warn host: 172.30.0.1:5000: speaks http, and containerd asks it by https: no hosts.toml says otherwise\nin "
     "/etc/containerd/certs.d/172.30.0.1:5000/hosts.toml:\n[host.\"http://172.30.0.1:5000\"]\n  capabilities = "
     "[\"pull\", \"resolve\"]"},
    {"NobodyAnswers", [](NodeFacts& f) { f.hosts[0].spoken = SpokenScheme::kNone; },
     "warn host: 172.30.0.1:5000: nobody answers at 172.30.0.1:5000\ncurl -v http://172.30.0.1:5000/v2/"},
};

const auto kNameOf = [](const auto& test) { return std::string(test.param.name); };

INSTANTIATE_TEST_SUITE_P(Daemon, ChecksTableTest, ::testing::ValuesIn(kDaemonRows), kNameOf);
INSTANTIATE_TEST_SUITE_P(Containerd, ChecksTableTest, ::testing::ValuesIn(kContainerdRows), kNameOf);
INSTANTIATE_TEST_SUITE_P(Client, ChecksTableTest, ::testing::ValuesIn(kClientRows), kNameOf);
INSTANTIATE_TEST_SUITE_P(Registry, ChecksTableTest, ::testing::ValuesIn(kRegistryRows), kNameOf);

TEST(ChecksTest, NamesThatNerdctlTakesForOthers) {
  for (const char* name : {"my-stargz", "nydus", "soci2", "overlaybd-x", "cvmfs-snapshotter", "a/b"}) {
    NodeFacts facts = Healthy();
    facts.containerd_config.proxies[0].name = name;
    facts.containerd_config.unpack->back().snapshotter = name;
    facts.containerd.plugins[1].id = name;
    const std::vector<std::string> complaints = Complaints(facts);
    ASSERT_EQ(complaints.size(), 1u) << name;
    EXPECT_THAT(complaints[0], HasSubstr(absl::StrCat("fail name: ", name, ": ")));
    EXPECT_THAT(complaints[0], HasSubstr("[proxy_plugins.sluice]"));
  }
}

TEST(ChecksTest, WhatAnOlderContainerdNeeds) {
  NodeFacts facts = Healthy({1, 6, 20});
  UseCri(facts);
  facts.known_hosts.clear();
  std::vector<std::string> complaints = Complaints(facts);
  ASSERT_EQ(complaints.size(), 2u);
  EXPECT_EQ(
      complaints[0],
      "fail exports-root: /var/lib/containerd/io.containerd.snapshotter.v1.sluice is missing: the kubelet can't see "
      "how full /var/lib/containerd-sluice-grpc is\nln -s /var/lib/containerd-sluice-grpc "
      "/var/lib/containerd/io.containerd.snapshotter.v1.sluice");
  facts.usual_roots = {"/var/lib/containerd/io.containerd.snapshotter.v1.sluice"};
  complaints = Complaints(facts);
  ASSERT_EQ(complaints.size(), 1u);
  EXPECT_THAT(complaints[0], HasSubstr("[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  "
                                       "disable_snapshot_annotations = false"));
  facts.containerd_config.cri.disable_snapshot_annotations = false;
  EXPECT_THAT(Complaints(facts), IsEmpty());
}

TEST(ChecksTest, AnnotationsMayBeOffWhereAPortIsKnown) {
  NodeFacts facts = Healthy();
  UseCri(facts);
  facts.containerd_config.proxies[0].exports.erase("enable_remote_snapshot_annotations");
  EXPECT_THAT(Complaints(facts), IsEmpty());
}

TEST(ChecksTest, AnImageThatOneOfOursHasIsNoTrap) {
  NodeFacts facts = Healthy();
  facts.hollow_images = {{"default", "app:1", 2, {"sluice"}}, {"default", "b:1", 1, {"sluice", "stargz"}}};
  EXPECT_THAT(Complaints(facts), IsEmpty());
  facts.hollow_images = {{"k8s.io", "app:1", 2, {"sluice"}}};
  facts.containerd_config.cri.runtime_snapshotters = {"sluice"};
  EXPECT_THAT(Complaints(facts), IsEmpty());
  UseCri(facts);
  facts.containerd_config.cri.runtime_snapshotters.clear();
  EXPECT_THAT(Complaints(facts), IsEmpty());
}

TEST(ChecksTest, AfterTheWayBackOurImagesAreATrapForOverlayfs) {
  NodeFacts facts = Healthy();
  Unregister(facts);
  facts.hollow_images.assign(12, {"default", "app:1", 1, {"sluice"}});
  std::vector<std::string> complaints = Complaints(facts);
  EXPECT_EQ(complaints.size(), 12u) << "not registered, ten images, and the rest in one line";
  EXPECT_EQ(complaints.back(), "warn images: and 2 more\nthe same for them");
}

TEST(ChecksTest, WhatIsNotThereIsSaidOnce) {
  NodeFacts facts = Healthy();
  facts.containerd = {};
  facts.containerd.answers = absl::UnavailableError("no socket there");
  Unregister(facts);
  const std::vector<std::string> complaints = Complaints(facts);
  ASSERT_EQ(complaints.size(), 2u);
  EXPECT_THAT(complaints[0], HasSubstr("fail containerd: "));
  EXPECT_THAT(complaints[1], HasSubstr("fail registered: "));
}

}  // namespace
}  // namespace sluice
