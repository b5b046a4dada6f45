"""Tests of the sandbox: the real SDKs and clients speak to it with production configuration."""
