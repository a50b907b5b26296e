"""A system library as a Bazel repository, described by pkg-config.

`@zstd` is then a cc_library with the flags that Debian's zstd.pc names. A missing library does not stop the loading
of the workspace: only the targets that need it fail, and the text says which package to install.
"""

# Flags that describe how the library itself was compiled, not how to use it.
_IGNORED_CFLAGS = ["-pthread", "-DNOMINMAX"]

_FOUND = """\
load("@rules_cc//cc:defs.bzl", "cc_library")

cc_library(
    name = "{name}",
    hdrs = glob(["include/**"], allow_empty = True),
    defines = {defines},
    includes = {includes},
    linkopts = {linkopts},
    visibility = ["//visibility:public"],
)
"""

_MISSING = """\
load(":missing.bzl", "missing")

missing(
    name = "{name}",
    visibility = ["//visibility:public"],
)
"""

_MISSING_RULE = """\
def _missing_impl(ctx):
    fail({text})

missing = rule(implementation = _missing_impl, provides = [CcInfo])
"""

def _target_name(repository_ctx):
    # Newer Bazel prefixes repository names ("_main~ext~zstd", "+ext+zstd"): the last part is ours.
    return repository_ctx.name.split("~")[-1].split("+")[-1]

def _run_pkg_config(repository_ctx, flag):
    pkg_config = repository_ctx.which("pkg-config")
    if pkg_config == None:
        return None, "pkg-config is not installed: apt-get install pkg-config"
    result = repository_ctx.execute([pkg_config, flag] + repository_ctx.attr.modules)
    if result.return_code != 0:
        return None, "pkg-config does not know {}: apt-get install {}".format(
            " ".join(repository_ctx.attr.modules),
            repository_ctx.attr.apt,
        )
    return [word for word in result.stdout.strip().split(" ") if word], None

def _write_missing(repository_ctx, name, error):
    text = "the system library '{}' is missing. {}".format(name, error)
    repository_ctx.file("missing.bzl", _MISSING_RULE.format(text = repr(text)))
    repository_ctx.file("BUILD.bazel", _MISSING.format(name = name))

def _pkg_config_repository_impl(repository_ctx):
    name = _target_name(repository_ctx)
    cflags, error = _run_pkg_config(repository_ctx, "--cflags")
    linkopts, _ = _run_pkg_config(repository_ctx, "--libs")
    if error == None and repository_ctx.attr.header and not repository_ctx.path(repository_ctx.attr.header).exists:
        error = "{} does not exist: apt-get install {}".format(repository_ctx.attr.header, repository_ctx.attr.apt)
    if error != None:
        _write_missing(repository_ctx, name, error)
        return

    defines, includes = [], []
    for flag in cflags:
        if flag in _IGNORED_CFLAGS:
            continue
        if flag.startswith("-D"):
            defines.append(flag[2:])
        elif flag.startswith("-I"):
            directory = "include/{}".format(len(includes))
            repository_ctx.symlink(flag[2:], directory)
            includes.append(directory)
        else:
            fail("{}: pkg-config gives the flag '{}', which this rule does not know".format(name, flag))
    repository_ctx.file("BUILD.bazel", _FOUND.format(
        name = name,
        defines = repr(defines),
        includes = repr(includes),
        linkopts = repr(linkopts),
    ))

pkg_config_repository = repository_rule(
    implementation = _pkg_config_repository_impl,
    doc = "One or more pkg-config modules as the cc_library @name.",
    attrs = {
        "modules": attr.string_list(doc = "pkg-config modules", mandatory = True),
        "header": attr.string(doc = "a file that must exist, for packages whose .pc file says too little"),
        "apt": attr.string(doc = "the Debian packages to install when it is missing", mandatory = True),
    },
    local = True,
    environ = ["PKG_CONFIG_PATH"],
)

def _system_tool_repository_impl(repository_ctx):
    name = _target_name(repository_ctx)
    tool = repository_ctx.which(repository_ctx.attr.tool)
    if tool == None:
        text = "the program '{}' is missing: apt-get install {}".format(
            repository_ctx.attr.tool,
            repository_ctx.attr.apt,
        )
        repository_ctx.file("missing.bzl", _MISSING_RULE.replace(", provides = [CcInfo]", "").format(text = repr(text)))
        repository_ctx.file("BUILD.bazel", _MISSING.format(name = name))
        return
    repository_ctx.symlink(tool, name)
    repository_ctx.file("BUILD.bazel", 'exports_files(["{}"])\n'.format(name))

system_tool_repository = repository_rule(
    implementation = _system_tool_repository_impl,
    doc = "A program from PATH as the file @name.",
    attrs = {
        "tool": attr.string(mandatory = True),
        "apt": attr.string(mandatory = True),
    },
    local = True,
    environ = ["PATH"],
)
