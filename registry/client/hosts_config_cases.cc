#include <map>
#include <string>
#include <utility>
#include <vector>

#include "registry/client/hosts_config_corpus.h"

namespace sluice::testing {
namespace {

using Lines = std::vector<std::string>;

// A case of one file for the host reg.x.
HostsCase Toml(const std::string& name, const std::string& text, Lines want, Lines in_1_6 = {}) {
  return {name, "reg.x", {{"reg.x/hosts.toml", text}}, std::move(want), "", std::move(in_1_6)};
}

// A file that counts as absent, for a cause; 1.6 too, unless it reads it as `in_1_6`.
HostsCase Ignored(const std::string& name, const std::string& text, const std::string& cause, Lines in_1_6 = {}) {
  return {name, "reg.x", {{"reg.x/hosts.toml", text}}, {"unset"}, cause, std::move(in_1_6)};
}

// A case of one file, for another host.
HostsCase At(const std::string& name, const std::string& host, const std::string& path, const std::string& text,
             Lines want, Lines in_1_6 = {}) {
  return {name, host, {{path, text}}, std::move(want), "", std::move(in_1_6)};
}

const char kMirror[] = "[host.\"https://a.x\"]\n";
const std::string kServer = "server = \"https://s.x\"\n";
const std::string kBoth = kServer + kMirror;

std::vector<HostsCase> Directories() {
  const Lines found = {"https://a.x/v2 mirror", "https://s.x/v2 mirror"};
  const std::string other = "[host.\"https://wrong.x\"]\n";
  return {
      {"DirectoryNone", "reg.x", {{"other.x/hosts.toml", kBoth}}, {"unset"}, "", {}},
      {"DirectoryEmpty", "reg.x", {{"reg.x/readme", ""}}, {"unset"}, "", {}},
      {"DirectoryOfAnotherPort", "reg.x:5000", {{"reg.x/hosts.toml", kBoth}}, {"unset"}, "", {}},
      At("DirectoryPort", "reg.x:5000", "reg.x_5000_/hosts.toml", kBoth, found),
      At("DirectoryColon", "reg.x:5000", "reg.x:5000/hosts.toml", kBoth, found),
      At("DirectoryDefault", "reg.x:5000", "_default/hosts.toml", kBoth, found),
      {"DirectoryPortFirst",
       "reg.x:5000",
       {{"reg.x_5000_/hosts.toml", kBoth}, {"reg.x:5000/hosts.toml", other}, {"_default/hosts.toml", other}},
       found,
       "",
       {}},
      {"DirectoryColonSecond",
       "reg.x:5000",
       {{"reg.x:5000/hosts.toml", kBoth}, {"_default/hosts.toml", other}},
       found,
       "",
       {}},
      // The directory is found, so the next one isn't looked at, though there is nothing in it.
      {"DirectoryHides", "reg.x", {{"reg.x/readme", ""}, {"_default/hosts.toml", other}}, {"unset"}, "", {}},
      At("DirectoryV6", "[fd00::1]:5000", "[fd00::1]_5000_/hosts.toml", kBoth, found),
      At("DirectoryV6Colon", "[fd00::1]:5000", "[fd00::1]:5000/hosts.toml", kBoth, found),
      At("DirectoryV6NoPort", "[fd00::1]", "[fd00::1]/hosts.toml", kBoth, found),
      // The last colon is taken for the one before a port.
      At("DirectoryV6Odd", "[fd00::1]", "[fd00:_1]_/hosts.toml", kBoth, found),
      {"DirectoryIsAFile", "reg.x", {{"reg.x", "x"}}, {"refused reg.x/hosts.toml"}, "", {}},
      {"TomlIsADirectory", "reg.x", {{"reg.x/hosts.toml/x", ""}}, {"refused reg.x/hosts.toml"}, "", {}},
  };
}

std::vector<HostsCase> Servers() {
  const Lines none_in_1_6 = {"https://reg.x/v2"};
  return {
      Toml("ServerOnly", kServer, {"https://s.x/v2 mirror"}, none_in_1_6),
      Toml("ServerOnlyWithHostTable", kServer + "[host]\n", {"https://s.x/v2 mirror"}),
      Toml("ServerIsTheHost", "server = \"https://reg.x\"\n[host]\n", {"https://reg.x/v2"}),
      Toml("ServerMissing", kMirror, {"https://a.x/v2 mirror", "https://reg.x/v2 implied"}),
      Toml("ServerEmpty", std::string("server = \"\"\n") + kMirror,
           {"https://a.x/v2 mirror", "https://reg.x/v2 implied"}),
      Toml("ServerWithoutHost", std::string("server = \"https://\"\n") + kMirror,
           {"https://a.x/v2 mirror", "https://reg.x/v2 implied"}),
      // Other capabilities of the root are forgotten with the server; the rest counts.
      Toml("ServerMissingFieldsStay",
           "capabilities = [\"push\"]\nskip_verify = true\n[header]\nx = \"1\"\n[host.\"https://a.x\"]\n",
           {"https://a.x/v2 mirror", "https://reg.x/v2 implied unverified header=x:1"}),
      Toml("Comment", "# nothing\n", {"https://reg.x/v2 implied"}),
      Toml("EmptyFile", "", {"unset"}),
      At("DockerHub", "docker.io", "docker.io/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://registry-1.docker.io/v2 implied"}),
      At("DockerHubNamed", "docker.io", "docker.io/hosts.toml",
         "server = \"https://registry-1.docker.io\"\n[host.\"https://docker.io\"]\n",
         {"https://docker.io/v2", "https://registry-1.docker.io/v2"}),
      At("LoopbackPort", "localhost:5000", "localhost:5000/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://localhost:5000/v2 implied fallback unverified"}),
      At("LoopbackV4", "127.0.0.254:5000", "127.0.0.254_5000_/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://127.0.0.254:5000/v2 implied fallback unverified"}),
      At("LoopbackV6", "[::1]:5000", "[::1]_5000_/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://[::1]:5000/v2 implied fallback unverified"}),
      At("LoopbackMapped", "[::ffff:127.0.0.1]:5000", "_default/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://[::ffff:127.0.0.1]:5000/v2 implied fallback unverified"}),
      At("LoopbackV6NoPort", "[::1]", "_default/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://[::1]/v2 implied"}),
      // Before 2.0 a loopback host was asked by http whatever its port.
      At("LoopbackNoPort", "localhost", "localhost/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://localhost/v2 implied unverified"},
         {"https://a.x/v2", "http://localhost/v2 unverified"}),
      At("LoopbackPort443", "localhost:443", "localhost:443/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://localhost:443/v2 implied unverified"},
         {"https://a.x/v2", "http://localhost:443/v2 unverified"}),
      At("LoopbackPort80", "localhost:80", "localhost:80/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "http://localhost:80/v2 implied"},
         {"https://a.x/v2", "http://localhost:80/v2 unverified"}),
      At("PrivateIsNoLoopback", "10.0.0.1:5000", "_default/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://10.0.0.1:5000/v2 implied"}),
      At("NameIsNoLoopback", "localhost.x:5000", "_default/hosts.toml", kMirror,
         {"https://a.x/v2 mirror", "https://localhost.x:5000/v2 implied"}),
  };
}

std::vector<HostsCase> Order() {
  return {
      Toml("OrderOfTheFile", kServer + "[host.\"https://c.x\"]\n[host.\"https://a.x\"]\n[host.\"https://b.x\"]\n",
           {"https://c.x/v2 mirror", "https://a.x/v2 mirror", "https://b.x/v2 mirror", "https://s.x/v2 mirror"}),
      Toml("OrderManyLines", kServer + "[host.\"https://b.x\"]\n" + std::string(12, '\n') + "[host.\"https://a.x\"]\n",
           {"https://b.x/v2 mirror", "https://a.x/v2 mirror", "https://s.x/v2 mirror"}),
      // 2.x asks b.x a second time after a.x.
      Toml("OrderOfFirstMention",
           kServer + "[host.\"https://b.x\".header]\nx = \"1\"\n[host.\"https://a.x\"]\n[host.\"https://b.x\"]\n"
                     "capabilities = [\"pull\"]\n",
           {"https://b.x/v2 mirror no-resolve header=x:1", "https://a.x/v2 mirror", "https://s.x/v2 mirror"}),
      Toml("OrderOnlyHeader", kServer + "[host.\"https://b.x\".header]\nx = \"1\"\n[host.\"https://a.x\"]\n",
           {"https://b.x/v2 mirror header=x:1", "https://a.x/v2 mirror", "https://s.x/v2 mirror"}),
      // 2.x finds hosts by their [headers] and passes over these; 1.6 and 1.7 take them, in any order.
      Toml("InlineHosts", "host = {\"https://b.x\" = {capabilities = [\"pull\"]}}\n" + kServer,
           {"https://b.x/v2 mirror no-resolve", "https://s.x/v2 mirror"}),
      Toml("InlineHost", kServer + "[host]\n\"https://b.x\" = {capabilities = [\"pull\"]}\n",
           {"https://b.x/v2 mirror no-resolve", "https://s.x/v2 mirror"}),
      Toml("DottedHost", kServer + "[host]\n\"https://b.x\".skip_verify = true\n",
           {"https://b.x/v2 mirror unverified", "https://s.x/v2 mirror"}),
      Toml("HostTwiceBySchemes", kServer + "[host.\"https://s.x\"]\n[host.\"http://s.x\"]\n",
           {"https://s.x/v2 mirror", "http://s.x/v2 mirror", "https://s.x/v2 mirror"}),
      Toml("NestedHostIsNone", kServer + "[host.\"https://a.x\"]\n[host.\"https://a.x\".host.\"https://b.x\"]\n",
           {"https://a.x/v2 mirror", "https://s.x/v2 mirror"}),
      Toml("UnquotedHost", kServer + "[host.foo.bar]\n", {"https://foo/v2 mirror", "https://s.x/v2 mirror"}),
  };
}

std::vector<HostsCase> Urls() {
  const auto mirror = [](const std::string& url, const std::string& fields = "") {
    return kServer + "[host.\"" + url + "\"]\n" + fields;
  };
  const auto is = [](const std::string& base) { return Lines{base + " mirror", "https://s.x/v2 mirror"}; };
  const std::string as_is = "override_path = true\n";
  return {
      Toml("UrlNoScheme", mirror("a.x:5000"), is("https://a.x:5000/v2")),
      // containerd guesses nothing from the port or the name.
      Toml("UrlNoSchemeLocalhost", mirror("localhost:5000"), is("https://localhost:5000/v2")),
      Toml("UrlSlash", mirror("https://a.x/"), is("https://a.x/v2")),
      Toml("UrlV2", mirror("https://a.x/v2"), is("https://a.x/v2")),
      Toml("UrlV2Slash", mirror("https://a.x/v2/"), is("https://a.x/v2")),
      Toml("UrlPath", mirror("https://a.x/us"), is("https://a.x/us/v2")),
      Toml("UrlPathV2", mirror("https://a.x/us/v2"), is("https://a.x/us/v2")),
      Toml("UrlPathAlmostV2", mirror("https://a.x/usv2"), is("https://a.x/usv2/v2")),
      Toml("UrlV2Path", mirror("https://a.x/v2/us"), is("https://a.x/v2/us/v2")),
      Toml("UrlPathCleaned", mirror("https://a.x//us/./eu/../x/"), is("https://a.x/us/x/v2")),
      Toml("UrlPathAboveRoot", mirror("https://a.x/../.."), is("https://a.x/v2")),
      Toml("UrlPathSpace", mirror("https://a.x/a b"), is("https://a.x/a%20b/v2"),
           {"https://a.x/a b/v2", "https://s.x/v2"}),
      Toml("UrlOverride", mirror("https://a.x", as_is), is("https://a.x")),
      Toml("UrlOverrideSlash", mirror("https://a.x/", as_is), is("https://a.x")),
      Toml("UrlOverridePath", mirror("https://a.x/v2/us/", as_is), is("https://a.x/v2/us")),
      Toml("UrlOverrideFalse", mirror("https://a.x", "override_path = false\n"), is("https://a.x/v2")),
      Toml("UrlOverrideServer", kServer + as_is + kMirror, {"https://a.x/v2 mirror", "https://s.x mirror"}),
      Toml("UrlQueryAndFragment", mirror("https://a.x/us?q=1#f"), is("https://a.x/us/v2")),
      Toml("UrlUpperCaseScheme", mirror("httpS://a.x"), is("https://a.x/v2")),
      Toml("UrlUpperCaseHost", mirror("https://A.X"), is("https://A.X/v2")),
      Toml("UrlTakenForAHost", mirror("HTTPS://a.x"), is("https://HTTPS/a.x/v2"),
           {"https://HTTPS:/a.x/v2", "https://s.x/v2"}),
      Toml("UrlPassword", mirror("https://u:p@a.x"), is("https://a.x/v2")),
      Toml("UrlPasswordWithAt", mirror("https://u:p@q@a.x:1/@b"), is("https://a.x:1/@b/v2")),
      Toml("UrlEmptyPort", mirror("https://a.x:"), is("https://a.x/v2"), {"https://a.x:/v2", "https://s.x/v2"}),
      // 1.6's TOML library reads no ']' in a key.
      Toml("UrlV6", mirror("https://[fd00::1]:5000"), is("https://[fd00::1]:5000/v2"), {"https://reg.x/v2"}),
      Toml("UrlV6Server", "server = \"https://[fd00::1]:5000\"\n[host]\n", {"https://[fd00::1]:5000/v2 mirror"}),
      // Places that can't be asked; containerd tries them in vain.
      Toml("UrlPathOnly", mirror("httpd.lan"), {"https://s.x/v2 mirror"}, {":///httpd.lan/v2", "https://s.x/v2"}),
      Toml("UrlScheme", mirror("httpx://a.x"), {"https://s.x/v2 mirror"}, {"httpx://a.x/v2", "https://s.x/v2"}),
      Toml("UrlEmptyHost", mirror(""), {"https://s.x/v2 mirror"}, {"://", "https://s.x/v2"}),
      Toml("UrlHugePort", mirror("https://a.x:65536"), {"https://s.x/v2 mirror"},
           {"https://a.x:65536/v2", "https://s.x/v2"}),
      Toml("UrlServerScheme", "server = \"httpx://s.x\"\n[host]\n", {}, {"httpx://s.x/v2"}),
      Ignored("UrlPort", mirror("https://a.x:50a"), "reg.x/hosts.toml:2: host: invalid port"),
      Ignored("UrlHostSpace", mirror("https://a b.x"), "reg.x/hosts.toml:2: host: invalid character"),
      Ignored("UrlBracket", "server = \"https://[::1\"\n[host]\n", "reg.x/hosts.toml:1: server: the host's bracket"),
      Ignored("UrlEscape", mirror("https://a.x/%zz"), "reg.x/hosts.toml:2: host: invalid percent-encoding"),
      Ignored("UrlControl", "server = \"https://s.x/\\u0001\"\n[host]\n",
              "reg.x/hosts.toml:1: server: control character"),
  };
}

std::vector<HostsCase> Fields() {
  const auto field = [](const std::string& text) { return kServer + kMirror + text + "\n"; };
  const auto is = [](const std::string& a) { return Lines{"https://a.x/v2 mirror" + a, "https://s.x/v2 mirror"}; };
  return {
      Toml("PullOnly", field("capabilities = [\"pull\"]"), is(" no-resolve")),
      Toml("ResolveOnly", field("capabilities = [\"resolve\"]"), is(" no-pull")),
      Toml("PushOnly", field("capabilities = [\"push\"]"), is(" no-pull no-resolve")),
      Toml("CapabilitiesAnyCase", field("capabilities = [\"Pull\", \"RESOLVE\"]"), is("")),
      Toml("CapabilitiesEmpty", field("capabilities = []"), is("")),
      Toml("CapabilitiesOfServer", kServer + "capabilities = [\"pull\"]\n" + kMirror,
           {"https://a.x/v2 mirror", "https://s.x/v2 mirror no-resolve"}),
      // Known from 2.2 on.
      Toml("Referrers", field("capabilities = [\"pull\", \"referrers\"]"), is(" no-resolve"), {"https://reg.x/v2"}),
      Toml("UnknownKeys", field("frobnicate = [1]\nserver = 1\n[zoo]\na = 1"), is("")),
      // 2.x finds keys in any case, 1.6 in lower or in upper case.
      Toml("KeysInAnyCase", "Server = \"https://s.x\"\n[host.\"https://a.x\"]\nSkip_Verify = true\n", is(" unverified"),
           {"https://a.x/v2", "https://reg.x/v2"}),
      Toml("HostOnlyInLowerCase", kServer + "[Host.\"https://a.x\"]\n", {"https://s.x/v2 mirror"},
           {"https://reg.x/v2"}),
      Toml("SkipVerify", field("skip_verify = true"), is(" unverified")),
      Toml("SkipVerifyFalse", field("skip_verify = false"), is("")),
      Toml("HttpWithSkipVerify",
           "server = \"http://s.x:80\"\nskip_verify = true\n[host.\"http://a.x\"]\nskip_verify = "
           "true\n[host.\"http://b.x:5000\"]\nskip_verify = false\n[host.\"http://c.x:5000\"]\n",
           {"https://a.x/v2 mirror fallback unverified", "https://b.x:5000/v2 mirror fallback",
            "http://c.x:5000/v2 mirror", "http://s.x:80/v2 mirror unverified"}),
      Toml("HttpWithEmptyCa", kServer + "[host.\"http://a.x\"]\nca = []\n[host.\"http://b.x\"]\nclient = []\n",
           {"https://a.x/v2 mirror fallback", "http://b.x/v2 mirror", "https://s.x/v2 mirror"},
           {"http://a.x/v2 ca", "http://b.x/v2", "https://s.x/v2"}),
      Toml("Headers",
           field("[host.\"https://a.x\".header]\nx-b = [\"1\", \"2\"]\nX-A = \"q\"\nz = []\n[header]\nr=\"s\""),
           {"https://a.x/v2 mirror header=X-A:q header=x-b:1 header=x-b:2", "https://s.x/v2 mirror header=r:s"}),
      // A request with such a header Go's client refuses, for each of the host's.
      Toml("HeaderWithALineBreak", field("header = {x = \"a\\r\\nb: c\"}"), {"https://s.x/v2 mirror"},
           {"https://a.x/v2 header=x:a\\r\\nb: c", "https://s.x/v2"}),
      Toml("DialTimeout", field("dial_timeout = \"1m1.5s\""), is(" dial=61500")),
      Toml("DialTimeoutNone", field("dial_timeout = \"0\""), is(" dial=0")),
      Toml("DialTimeoutTiny", field("dial_timeout = \"3\u00B5s\""), is(" dial=1")),
      Toml("DialTimeoutNegative", field("dial_timeout = \"-2s\""), is(" dial=1")),
      Toml("DialTimeoutEmpty", field("dial_timeout = \"\""), is("")),
      Toml("WindowsLines", "server = \"https://s.x\"\r\n[host.\"https://a.x\"]\r\nskip_verify = true\r\n",
           is(" unverified")),
  };
}

std::vector<HostsCase> Certificates() {
  const auto field = [](const std::string& text) { return kServer + kMirror + text + "\n"; };
  const auto is = [](const std::string& a) { return Lines{"https://a.x/v2 mirror" + a, "https://s.x/v2 mirror"}; };
  const auto with = [](const std::string& name, const std::string& toml, Lines want) {
    return HostsCase{name,
                     "reg.x",
                     {{"reg.x/hosts.toml", toml},
                      {"reg.x/ca.pem", "<certificate>"},
                      {"ca2.pem", "text before\n<certificate><certificate>"},
                      {"reg.x/c.pem", "<certificate><key>"},
                      {"reg.x/k.pem", "<key>"},
                      {"reg.x/other.pem", "<other key>"},
                      {"reg.x/text.pem", "no certificate"}},
                     std::move(want),
                     "",
                     {}};
  };
  const auto docker = [](const std::string& name, std::map<std::string, std::string> files, Lines want) {
    return HostsCase{name, "reg.x", std::move(files), std::move(want), "", {}};
  };
  return {
      with("Ca", field("ca = \"ca.pem\""), is(" ca=reg.x/ca.pem")),
      with("CaList", field("ca = [\"./ca.pem\", \"../ca2.pem\"]"), is(" ca=reg.x/ca.pem ca=ca2.pem")),
      with("CaOfServer", kServer + "ca = \"ca.pem\"\n" + kMirror,
           {"https://a.x/v2 mirror", "https://s.x/v2 mirror ca=reg.x/ca.pem"}),
      with("CaHttp", kServer + "[host.\"http://a.x:5000\"]\nca = \"ca.pem\"\n",
           {"https://a.x:5000/v2 mirror fallback ca=reg.x/ca.pem", "https://s.x/v2 mirror"}),
      with("CaMissing", field("ca = \"none.pem\""), {"refused reg.x/none.pem"}),
      with("CaIsText", field("ca = \"text.pem\""), {"refused reg.x/text.pem: no PEM certificate"}),
      with("CaEmptyName", field("ca = \"\""), {"refused not a regular file"}),
      with("CaOfAnUnusablePlace", kServer + "[host.\"httpx://a.x\"]\nca = \"none.pem\"\n", {"refused reg.x/none.pem"}),
      with("Client", field("client = \"c.pem\""), is(" client=reg.x/c.pem")),
      with("ClientList", field("client = [\"c.pem\", \"c.pem\"]"), is(" client=reg.x/c.pem client=reg.x/c.pem")),
      with("ClientPairs", field("client = [[\"ca.pem\", \"k.pem\"], \"c.pem\"]"),
           is(" client=reg.x/ca.pem+reg.x/k.pem client=reg.x/c.pem")),
      with("ClientWithoutKey", field("client = \"ca.pem\""), {"refused reg.x/ca.pem: no PEM private key"}),
      with("ClientWithAnotherKey", field("client = [[\"ca.pem\", \"other.pem\"]]"),
           {"refused reg.x/other.pem: not the private key of"}),
      with("ClientKeyMissing", field("client = [[\"ca.pem\", \"none.pem\"]]"), {"refused reg.x/none.pem"}),
      // docs/hosts.md writes it so; the code takes the directory for the file.
      with("ClientEmptyKey", field("client = [[\"c.pem\", \"\"]]"), {"refused not a regular file"}),
      docker("DockerCa", {{"reg.x/b.crt", "<certificate>"}, {"reg.x/a.crt", "<certificate>"}, {"reg.x/c.txt", ""}},
             {"https://reg.x/v2 implied ca=reg.x/a.crt ca=reg.x/b.crt"}),
      docker("DockerClient", {{"reg.x/a.cert", "<certificate>"}, {"reg.x/a.key", "<key>"}, {"reg.x/b.key", ""}},
             {"https://reg.x/v2 implied client=reg.x/a.cert+reg.x/a.key"}),
      docker("DockerClientKeyInside", {{"reg.x/a.cert", "<certificate><key>"}},
             {"https://reg.x/v2 implied client=reg.x/a.cert"}),
      docker("DockerClientKeyMissing", {{"reg.x/a.cert", "<certificate>"}},
             {"refused reg.x/a.cert: no PEM private key"}),
      docker("DockerDirectoryIsNone", {{"reg.x/a.crt/x", ""}}, {"unset"}),
      docker("DockerBesideToml", {{"reg.x/a.crt", "<certificate>"}, {"reg.x/hosts.toml", kBoth}},
             {"https://a.x/v2 mirror", "https://s.x/v2 mirror"}),
      docker("DockerBesideEmptyToml", {{"reg.x/a.crt", "<certificate>"}, {"reg.x/hosts.toml", ""}},
             {"https://reg.x/v2 implied ca=reg.x/a.crt"}),
      {"DockerBesideBadToml",
       "reg.x",
       {{"reg.x/a.crt", "<certificate>"}, {"reg.x/hosts.toml", "[host"}},
       {"https://reg.x/v2 implied ca=reg.x/a.crt"},
       "reg.x/hosts.toml:1: not TOML",
       {}},
      {"DockerDefault",
       "localhost:5000",
       {{"_default/a.crt", "<certificate>"}},
       {"https://localhost:5000/v2 implied fallback unverified ca=_default/a.crt"},
       "",
       {}},
  };
}

std::vector<HostsCase> Undecodable() {
  const auto field = [](const std::string& text) { return kServer + kMirror + text + "\n"; };
  const Lines read_by_1_6 = {"https://a.x/v2", "https://s.x/v2"};
  return {
      Ignored("NoToml", "server = \n", "reg.x/hosts.toml:1: not TOML, from column"),
      Ignored("NoUtf8", kBoth + "# \xE9\n", "reg.x/hosts.toml:3: not TOML", read_by_1_6),
      Ignored("ByteOrderMark", "\xEF\xBB\xBF" + kBoth, "reg.x/hosts.toml:1: begins with a byte order mark",
              read_by_1_6),
      Ignored("KeyTwice", kServer + kServer, "reg.x/hosts.toml:2: not TOML"),
      Ignored("HostTwice", kBoth + kMirror, "reg.x/hosts.toml:3: not TOML"),
      Ignored("ServerType", std::string("server = 1\n") + kMirror, "reg.x/hosts.toml:1: server: must be a string"),
      Ignored("HostType", kServer + "host = \"a.x\"\n", "reg.x/hosts.toml:2: host: must be a table"),
      Ignored("HostArray", kServer + "[[host]]\nx = 1\n", "reg.x/hosts.toml:2: host: must be a table"),
      Ignored("HostsValue", kServer + "[host]\na = \"b\"\n", "reg.x/hosts.toml:3: host: must be a table of tables"),
      Ignored("HostsArray", kServer + "[[host.\"https://a.x\"]]\n", "reg.x/hosts.toml:2: host: must be a table of"),
      Ignored("CapabilityUnknown", field("capabilities = [\"fetch\"]"), "reg.x/hosts.toml:3: capabilities: knows pull"),
      Ignored("CapabilitiesType", field("capabilities = \"pull\""), "capabilities: must be a list of strings"),
      Ignored("CapabilitiesNumber", field("capabilities = [1]"), "capabilities: must be a list of strings"),
      Ignored("SkipVerifyType", field("skip_verify = \"true\""), "skip_verify: must be true or false"),
      Ignored("OverridePathType", field("override_path = 1"), "override_path: must be true or false"),
      Ignored("CaType", field("ca = 1"), "ca: must be a string or a list of strings"),
      Ignored("CaNumbers", field("ca = [1]"), "ca: must be a string or a list of strings"),
      Ignored("ClientType", field("client = 1"), "client: must be a string, a list of strings or a list of [certif"),
      Ignored("ClientNumbers", field("client = [1]"), "client: must be"),
      Ignored("ClientTriple", field("client = [[\"a\", \"b\", \"c\"]]"), "client: must be"),
      Ignored("ClientSingle", field("client = [[\"a\"]]"), "client: must be"),
      Ignored("HeaderType", field("header = \"x\""), "header: must be a table"),
      Ignored("HeaderNumber", field("header = {x = 1}"), "header: must be a string or a list of strings"),
      Ignored("HeaderNumbers", field("header = {x = [1]}"), "header: must be a string or a list of strings"),
      // 1.6 does not know the key.
      Ignored("DialTimeoutType", field("dial_timeout = 1"), "dial_timeout: must be a string", read_by_1_6),
      Ignored("DialTimeoutBad", field("dial_timeout = \"1 s\""), "dial_timeout: must be a time like", read_by_1_6),
      Ignored("DialTimeoutNoUnit", field("dial_timeout = \"1\""), "dial_timeout: must be a time like", read_by_1_6),
      Ignored("DialTimeoutEndless", field("dial_timeout = \"inf\""), "dial_timeout: must be a time like", read_by_1_6),
      Ignored("DialTimeoutHuge", field("dial_timeout = \"3000000h\""), "dial_timeout: must be a time", read_by_1_6),
  };
}

}  // namespace

const std::vector<HostsCase>& HostsCases() {
  static const auto* const cases = [] {
    auto* const all = new std::vector<HostsCase>;
    for (const auto& part : {Directories(), Servers(), Order(), Urls(), Fields(), Certificates(), Undecodable()}) {
      all->insert(all->end(), part.begin(), part.end());
    }
    return all;
  }();
  return *cases;
}

}  // namespace sluice::testing
